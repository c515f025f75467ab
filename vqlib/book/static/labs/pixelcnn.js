// @ts-check
// A PixelCNN, one position at a time: what chapter 5 builds, with what earlier positions gave kept.
//
// The weights hold only the taps of a kernel that its mask lets through, in the order of rows.
"use strict";

(() => {
  /** @typedef {{shape: number[], values: Float32Array}} Weight */
  /** @typedef {[number, number]} Tap Rows and columns from the position that is computed. */

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
   * Return the positions that a kernel's taps see, those beyond the border left out.
   * @param {Tap[]} taps
   * @param {number} place
   * @param {number[]} shape Height and width of the grid.
   * @returns {{tap: number, from: number}[]}
   */
  function inView(taps, place, [height, width]) {
    const [row, column] = [Math.floor(place / width), place % width];
    return taps.flatMap(([down, right], tap) => {
      const [i, j] = [row + down, column + right];
      const inside = i >= 0 && j >= 0 && i < height && j < width;
      return inside ? [{ tap, from: i * width + j }] : [];
    });
  }

  /**
   * Add x @ matrix to sums.
   * @param {Float64Array} sums (F,)
   * @param {ArrayLike<number>} x (C,)
   * @param {Weight} weight (..., C, F), of which one matrix is taken.
   * @param {number} tap
   */
  function addProduct(sums, x, { shape, values }, tap = 0) {
    const filters = sums.length;
    const start = tap * shape[shape.length - 2] * filters;
    for (let c = 0; c < x.length; c++) {
      if (x[c] === 0) continue; // as half of them are behind a ReLU
      for (let f = 0; f < filters; f++) sums[f] += x[c] * values[start + c * filters + f];
    }
  }

  /** @param {Float64Array} sums */
  function relu(sums) {
    for (let f = 0; f < sums.length; f++) if (sums[f] < 0) sums[f] = 0;
    return sums;
  }

  /**
   * Make a PixelCNN of its weights, with the number of blocks and of masked 1 x 1 layers that these have.
   * @param {Record<string, Weight>} weights
   * @param {number[]} codeShape Height and width of the grid.
   */
  function makePixelCNN(weights, codeShape = [7, 7]) {
    const first = liveTaps(7, "A");
    const later = liveTaps(3, "B");
    const numBlocks = Object.keys(weights).filter((name) => /^block_\d+_in\/kernel$/.test(name)).length;
    const numMasked = Object.keys(weights).filter((name) => /^masked_\d+\/kernel$/.test(name)).length;
    const size = codeShape[0] * codeShape[1];

    /** @param {string} name @returns {Float64Array} */
    const bias = (name) => Float64Array.from(weights[`${name}/bias`].values);
    /** @param {string} name */
    const kernel = (name) => weights[`${name}/kernel`];
    /** @param {string} name @param {ArrayLike<number>} x */
    const dense = (name, x) => {
      const sums = bias(name);
      addProduct(sums, x, kernel(name));
      return sums;
    };

    /** Begin a grid: return a function that gives the logits of a position, and computes only what it has not yet. */
    function begin() {
      const seen = new Int16Array(size).fill(-1); // the codes that what is kept was computed from
      let known = 0; // so many positions are computed
      /** @type {Float64Array[]} */
      const logits = [];
      /** @type {Float64Array[][]} What the masked convolution of each block is given, at each position. */
      const given = Array.from({ length: numBlocks }, () => []);

      /**
       * Compute a position, from the codes before it and what is kept.
       * @param {number} place
       */
      function compute(place) {
        let x = bias("codes_masked");
        const table = kernel("codes_masked"); // a row for each tap and code: (24, K, F)
        const [, numCodes, filters] = table.shape;
        for (const { tap, from } of inView(first, place, codeShape)) {
          const row = (tap * numCodes + seen[from]) * filters;
          for (let f = 0; f < filters; f++) x[f] += table.values[row + f];
        }
        x = relu(x); // (F,)
        for (let block = 0; block < numBlocks; block++) {
          given[block][place] = relu(dense(`block_${block}_in`, x)); // (F,)
          const masked = bias(`block_${block}_masked`);
          for (const { tap, from } of inView(later, place, codeShape)) {
            addProduct(masked, given[block][from], kernel(`block_${block}_masked`), tap);
          }
          const out = relu(dense(`block_${block}_out`, relu(masked))); // (F,)
          x = x.map((value, f) => value + out[f]);
        }
        for (let layer = 0; layer < numMasked; layer++) x = relu(dense(`masked_${layer}`, x));
        logits[place] = dense("logits", x); // (K,)
      }

      /**
       * Return the logits of the code at a position, given those before it.
       * @param {ArrayLike<number>} codes (h * w,); those from `place` on are not looked at.
       * @param {number} place
       * @returns {Float64Array} (K,)
       */
      return (codes, place) => {
        for (let before = 0; before < place; before++) {
          if (codes[before] === seen[before]) continue;
          seen[before] = codes[before];
          known = Math.min(known, before + 1); // a position does not hang on its own code
        }
        while (known <= place) compute(known++);
        return logits[place];
      };
    }

    /**
     * Return which positions one sees through all layers: a stack of masked layers is blind to some before it.
     * @param {number} place
     * @returns {boolean[]} (h * w,)
     */
    function sees(place) {
      let reached = new Set([place]);
      for (let block = 0; block < numBlocks; block++) {
        reached = new Set([...reached].flatMap((each) => inView(later, each, codeShape).map(({ from }) => from)));
      }
      const codes = new Set([...reached].flatMap((each) => inView(first, each, codeShape).map(({ from }) => from)));
      return Array.from({ length: size }, (_, each) => codes.has(each));
    }

    return { begin, sees, numEmbeddings: kernel("codes_masked").shape[1] };
  }

  vqlabs.pixelcnn = { makePixelCNN };
})();
