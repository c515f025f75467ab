// @ts-check
// A gated PixelCNN, one position at a time: the two stacks of chapter 7, with what earlier positions gave kept.
//
// The vertical stack reads the rows above, a row at a time; the horizontal one goes along a row. Equations are chapter 7's.
"use strict";

(() => {
  const { addProduct, addRow, findViews, makeReader, reach, relu, remember } = vqlabs.pixelcnn;

  /** @typedef {{shape: number[], values: Float32Array}} Weight */
  /** @typedef {[number, number]} Tap Rows and columns from the position that is computed. */
  /** @typedef {{tap: number, from: number}[]} View From one position. */
  /** @typedef {(codes: ArrayLike<number>, place: number) => Float64Array} Logits See pixelcnn.js. */
  /** @typedef {{logits: Logits, classes?: (codes: ArrayLike<number>, count: number) => Float64Array}} Writer */

  /**
   * Return the taps of a kernel, in the order of rows.
   * @param {[number, number]} rows First and last.
   * @param {[number, number]} columns
   * @returns {Tap[]}
   */
  function crop([top, bottom], [left, right]) {
    /** @type {Tap[]} */
    const taps = [];
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) taps.push([row, column]);
    }
    return taps;
  }

  /**
   * Return tanh of the first half, times the sigmoid of the second: equation 7.1.
   * @param {Float64Array} y (2 F,)
   * @returns {Float64Array} (F,)
   */
  function gate(y) {
    const filters = y.length / 2;
    return y.slice(0, filters).map((value, f) => Math.tanh(value) / (1 + Math.exp(-y[filters + f])));
  }

  /** @param {Float64Array} x @param {Float64Array} y */
  function add(x, y) {
    return x.map((value, n) => value + y[n]);
  }

  /**
   * Make a gated PixelCNN of its weights. If these know of classes, it may be told one.
   * @param {Record<string, Weight>} weights
   * @param {number[]} codeShape Height and width of the grid.
   */
  function makeGatedPixelCNN(weights, codeShape = [7, 7]) {
    const { kernel, bias, dense, count } = makeReader(weights);
    const numLayers = count("vertical_*");
    const numClasses = kernel("condition_to_vertical_0")?.shape[0] ?? 0;
    const [height, width] = codeShape;
    const size = height * width;
    const see = (/** @type {Tap[]} */ taps) => findViews(taps, codeShape);
    // What the stacks see: in the first layer of the codes, in later ones of what the layer before them gave.
    const above = { codes: see(crop([-3, -1], [-3, 3])), features: see(crop([-1, 0], [-1, 1])) };
    const left = { codes: see(crop([0, 0], [-3, -1])), features: see(crop([0, 0], [-1, 0])) };

    /** Begin a grid of a class, or of one that is not told. @param {number} [digit] @returns {Writer} */
    function begin(digit) {
      if (numClasses === 0 || digit !== undefined) return { logits: beginTold(digit) };
      return mix(Array.from({ length: numClasses }, (_, each) => beginTold(each)), size);
    }

    /** Begin a grid with both stacks. @param {number} [digit] @returns {Logits} */
    function beginTold(digit) {
      const stacks = Array.from({ length: numLayers }, () => ({ // of each layer, at each position
        /** @type {Float64Array[]} */ above: [], // what the vertical stack gives its next layer, (F,)
        /** @type {Float64Array[]} */ fromAbove: [], // what it gives the horizontal stack, (2 F,)
        /** @type {Float64Array[]} */ here: [], // what the horizontal stack gives its next layer, (F,)
      }));

      /**
       * Add V h, the row of the class: equation 7.2.
       * @param {string} name
       * @param {Float64Array} sums (2 F,)
       */
      function addClass(name, sums) {
        if (digit !== undefined) addRow(sums, kernel(name), digit);
        return sums;
      }

      /**
       * Convolve codes, or what a layer gave.
       * @param {string} name
       * @param {{codes: View[], features: View[]}} seen
       * @param {number} place
       * @param {Int16Array} codes
       * @param {Float64Array[]} [features]
       * @returns {Float64Array} (2 F,)
       */
      function convolve(name, seen, place, codes, features) {
        const sums = bias(name);
        for (const { tap, from } of (features ? seen.features : seen.codes)[place]) {
          if (features) addProduct(sums, features[from], kernel(name), tap);
          else addRow(sums, kernel(name), codes[from], tap);
        }
        return sums;
      }

      /** Compute a row of the vertical stack. @param {number} start @param {Int16Array} codes */
      function computeRow(start, codes) {
        for (let n = 0; n < numLayers; n++) {
          for (let place = start; place < start + width; place++) {
            const convolved = convolve(`vertical_${n}`, above, place, codes, stacks[n - 1]?.above);
            const y = addClass(`condition_to_vertical_${n}`, convolved);
            stacks[n].above[place] = gate(y);
            const given = dense(`vertical_to_horizontal_${n}`, y);
            stacks[n].fromAbove[place] = addClass(`condition_to_horizontal_${n}`, given);
          }
        }
      }

      return remember(size, (/** @type {number} */ place, /** @type {Int16Array} */ codes) => {
        if (place % width === 0) computeRow(place, codes);
        for (let n = 0; n < numLayers; n++) {
          const before = stacks[n - 1]?.here;
          const y = convolve(`horizontal_${n}`, left, place, codes, before);
          const out = dense(`out_${n}`, gate(add(y, stacks[n].fromAbove[place]))); // (F,)
          stacks[n].here[place] = before ? add(before[place], out) : out;
        }
        const last = stacks[numLayers - 1].here[place];
        return dense("logits", relu(dense("hidden", relu(last)))); // (K,)
      });
    }

    /**
     * Return which positions one sees through all layers.
     * @param {number} place
     * @returns {boolean[]} (h * w,)
     */
    function sees(place) {
      let byRows = [place]; // from the last layer down: what is seen by way of each stack
      let alongRow = [place];
      for (let n = numLayers - 1; n > 0; n--) {
        byRows = reach(above.features, [...byRows, ...alongRow]);
        alongRow = reach(left.features, alongRow);
      }
      const codes = new Set([...reach(above.codes, [...byRows, ...alongRow]), ...reach(left.codes, alongRow)]);
      return Array.from({ length: size }, (_, each) => codes.has(each));
    }

    return { begin, sees, numEmbeddings: kernel("vertical_0").shape[1], numClasses };
  }

  /**
   * Mix priors that were told different classes: the mean of their probabilities, as for a class that nobody tells.
   * @param {Logits[]} told
   * @param {number} size Of the grid.
   * @returns {Writer}
   */
  function mix(told, size) {
    /** @type {Float64Array[][]} The logarithms of probabilities at each position, by each prior, (K,). */
    const logs = [];

    /** Return log p(codes | y) of the first codes, for each class y. @param {ArrayLike<number>} codes @param {number} count */
    function score(codes, count) {
      const scores = new Float64Array(told.length);
      for (let place = 0; place < count; place++) {
        for (let y = 0; y < told.length; y++) scores[y] += logs[place][y][codes[place]];
      }
      return scores;
    }

    const logits = remember(size, (/** @type {number} */ place, /** @type {Int16Array} */ codes) => {
      logs[place] = told.map((each) => normalized(each(codes, place)));
      const weights = normalized(score(codes, place));
      return logs[place][0].map((_, code) => logSum(logs[place].map((each, y) => weights[y] + each[code])));
    });

    /**
     * Return p(y | codes) of each class y, after the first codes: equation 7.3.
     * @param {ArrayLike<number>} codes
     * @param {number} count
     */
    function classes(codes, count) {
      if (count > 0) logits(codes, count - 1);
      return normalized(score(codes, count)).map(Math.exp);
    }
    return { logits, classes };
  }

  /** Return log sum exp. @param {ArrayLike<number>} values */
  function logSum(values) {
    let largest = -Infinity;
    for (let n = 0; n < values.length; n++) largest = Math.max(largest, values[n]);
    let sum = 0;
    for (let n = 0; n < values.length; n++) sum += Math.exp(values[n] - largest);
    return largest + Math.log(sum);
  }

  /** Return the logarithms of the softmax. @param {Float64Array} values */
  function normalized(values) {
    const sum = logSum(values);
    return values.map((value) => value - sum);
  }

  vqlabs.gated = { makeGatedPixelCNN };
})();
