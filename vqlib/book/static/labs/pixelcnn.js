// @ts-check
// A PixelCNN, one position at a time: what chapter 5 builds, with what earlier positions gave kept.
//
// The weights hold only the taps of a kernel that its mask lets through, in the order of rows.
"use strict";

(() => {
  /** @typedef {{shape: number[], values: Float32Array}} Weight */
  /** @typedef {[number, number]} Tap Rows and columns from the position that is computed. */
  /** @typedef {(codes: ArrayLike<number>, place: number) => Float64Array} Logits Those of the code at a position, (K,),
   * given those before it in a grid, (h * w,). What is there from the position on is not looked at. */

  /**
   * Return the taps of a masked kernel: the rows above, and what is to the left in the same row.
   * @param {number} size Of the kernel, odd.
   * @param {"A" | "B"} type B lets the position itself through, too.
   * @returns {Tap[]}
   */
  function liveTaps(size, type) {
    const half = (size - 1) / 2;
    /** @type {Tap[]} */
    const taps = [];
    for (let row = -half; row <= 0; row++) {
      for (let column = -half; column <= half; column++) {
        if (row < 0 || column < 0 || (column === 0 && type === "B")) taps.push([row, column]);
      }
    }
    return taps;
  }

  /**
   * Return which positions a kernel's taps see from each position, those beyond the border left out.
   * @param {Tap[]} taps
   * @param {number[]} shape Height and width of the grid.
   * @returns {{tap: number, from: number}[][]} (h * w,)
   */
  function findViews(taps, [height, width]) {
    return Array.from({ length: height * width }, (_, place) =>
      taps.flatMap(([down, right], tap) => {
        const [i, j] = [Math.floor(place / width) + down, place % width + right];
        const inside = i >= 0 && j >= 0 && i < height && j < width;
        return inside ? [{ tap, from: i * width + j }] : [];
      }));
  }

  /**
   * Return the positions that a kernel sees from some of them.
   * @param {{from: number}[][]} views
   * @param {Iterable<number>} places
   */
  function reach(views, places) {
    return new Set([...places].flatMap((place) => views[place].map(({ from }) => from)));
  }

  /**
   * Add x @ matrix to sums, four rows of the matrix at a time: so each sum is fetched and stored once for four products,
   * which takes less than half of the time.
   * @param {Float64Array} sums (F,)
   * @param {ArrayLike<number>} x (C,)
   * @param {Weight} weight (..., C, F), of which one matrix is taken.
   * @param {number} tap
   */
  function addProduct(sums, x, { shape, values }, tap = 0) {
    const filters = sums.length;
    let row = tap * shape[shape.length - 2] * filters; // where it starts
    let c = 0;
    for (; c + 4 <= x.length; c += 4) {
      const [x0, x1, x2, x3] = [x[c], x[c + 1], x[c + 2], x[c + 3]];
      const [row1, row2, row3] = [row + filters, row + 2 * filters, row + 3 * filters];
      for (let f = 0; f < filters; f++) {
        sums[f] += x0 * values[row + f] + x1 * values[row1 + f] + x2 * values[row2 + f] + x3 * values[row3 + f];
      }
      row += 4 * filters;
    }
    for (; c < x.length; c++) {
      for (let f = 0; f < filters; f++) sums[f] += x[c] * values[row + f];
      row += filters;
    }
  }

  /**
   * Add the row that a code looks up: the product with a one-hot vector.
   * @param {Float64Array} sums (F,)
   * @param {Weight} table (..., K, F), of which one matrix is taken.
   * @param {number} code
   * @param {number} tap
   */
  function addRow(sums, { shape, values }, code, tap = 0) {
    const start = (tap * shape[shape.length - 2] + code) * sums.length;
    for (let f = 0; f < sums.length; f++) sums[f] += values[start + f];
  }

  /** @param {Float64Array} sums */
  function relu(sums) {
    for (let f = 0; f < sums.length; f++) if (sums[f] < 0) sums[f] = 0;
    return sums;
  }

  /**
   * Return what reads the weights of a network: a kernel, a bias to add to, and a 1 x 1 layer as a whole.
   * @param {Record<string, Weight>} weights
   */
  function makeReader(weights) {
    /** @param {string} name */
    const kernel = (name) => weights[`${name}/kernel`];
    /** @param {string} name @returns {Float64Array} */
    const bias = (name) => new Float64Array(weights[`${name}/bias`].values);
    /** @param {string} name @param {ArrayLike<number>} x */
    const dense = (name, x) => {
      const sums = bias(name);
      addProduct(sums, x, kernel(name));
      return sums;
    };
    /** How many layers have such a name, with a number for the star. @param {string} name */
    const count = (name) => {
      let number = 0;
      while (`${name.replace("*", String(number))}/kernel` in weights) number++;
      return number;
    };
    return { kernel, bias, dense, count };
  }

  /**
   * Return a function that gives the logits of a position, and computes only what it has not yet.
   * @param {number} size Of the grid.
   * @param {(place: number, seen: Int16Array) => Float64Array} compute
   *   Gives the logits of a position, from the codes before it. It is asked for one position after the other; when a code
   *   changes, again for those behind it.
   * @returns {Logits}
   */
  function remember(size, compute) {
    const seen = new Int16Array(size).fill(-1); // the codes that what is kept was computed from
    let known = 0; // so many positions are computed
    /** @type {Float64Array[]} */
    const logits = [];
    return (codes, place) => {
      for (let before = 0; before < place; before++) {
        if (codes[before] === seen[before]) continue;
        seen[before] = codes[before];
        known = Math.min(known, before + 1); // a position does not hang on its own code
      }
      for (; known <= place; known++) logits[known] = compute(known, seen);
      return logits[place];
    };
  }

  /**
   * Make a PixelCNN of its weights, with the number of blocks and of masked 1 x 1 layers that these have.
   * @param {Record<string, Weight>} weights
   * @param {number[]} codeShape Height and width of the grid.
   */
  function makePixelCNN(weights, codeShape = [7, 7]) {
    const first = findViews(liveTaps(7, "A"), codeShape);
    const later = findViews(liveTaps(3, "B"), codeShape);
    const { kernel, bias, dense, count } = makeReader(weights);
    const numBlocks = count("block_*_in");
    const numMasked = count("masked_*");
    const size = codeShape[0] * codeShape[1];

    /** Begin a grid. @returns {{logits: Logits}} */
    function begin() {
      /** @type {Float64Array[][]} What the masked convolution of each block is given, at each position. */
      const given = Array.from({ length: numBlocks }, () => []);

      const logits = remember(size, (place, seen) => {
        let x = bias("codes_masked"); // (F,)
        for (const { tap, from } of first[place]) {
          addRow(x, kernel("codes_masked"), seen[from], tap); // of (24, K, F)
        }
        x = relu(x);
        for (let block = 0; block < numBlocks; block++) {
          given[block][place] = relu(dense(`block_${block}_in`, x)); // (F,)
          const masked = bias(`block_${block}_masked`);
          for (const { tap, from } of later[place]) {
            addProduct(masked, given[block][from], kernel(`block_${block}_masked`), tap);
          }
          const out = relu(dense(`block_${block}_out`, relu(masked))); // (F,)
          x = x.map((value, f) => value + out[f]);
        }
        for (let layer = 0; layer < numMasked; layer++) x = relu(dense(`masked_${layer}`, x));
        return dense("logits", x); // (K,)
      });
      return { logits };
    }

    /**
     * Return which positions one sees through all layers: a stack of masked layers is blind to some before it.
     * @param {number} place
     * @returns {boolean[]} (h * w,)
     */
    function sees(place) {
      let reached = new Set([place]);
      for (let block = 0; block < numBlocks; block++) reached = reach(later, reached);
      const codes = reach(first, reached);
      return Array.from({ length: size }, (_, each) => codes.has(each));
    }

    return { begin, sees, numEmbeddings: kernel("codes_masked").shape[1], numClasses: 0 };
  }

  vqlabs.pixelcnn = { addProduct, addRow, findViews, makePixelCNN, makeReader, reach, relu, remember };
})();
