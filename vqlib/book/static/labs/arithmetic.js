// @ts-check
// The arithmetic of the models, as the chapters teach it: search, convolution, transposed convolution, as plain loops.
//
// A grid of vectors is {height, width, depth, values}: values[(row * width + column) * depth + d], as in NumPy's
// (height, width, depth). Images are grids of depth 1 in [-0.5, 0.5]. Weights have the shapes that Keras gives them.
"use strict";

(() => {
  /** @typedef {{height: number, width: number, depth: number, values: Float32Array}} Grid */
  /** @typedef {{shape: number[], values: Float32Array}} Weight */
  /** @typedef {Record<string, Weight>} Weights By layer and name, such as "down_0/kernel". */

  // ---------------------------------------------------------------- Weights

  /**
   * Return the weights that a script of weights/ brings. They come as whole numbers, two letters each. Of each row, along
   * the last axis, the first number tells the step, 2 ** (number / 128), and the others count how many steps a value has.
   * @param {{letters: string, shapes: Record<string, number[]>, values: string}} packed
   * @returns {Weights}
   */
  function unpack({ letters, shapes, values }) {
    const base = letters.length;
    const digits = new Uint8Array(128);
    for (let n = 0; n < base; n++) digits[letters.charCodeAt(n)] = n;
    let at = 0;
    const next = () => digits[values.charCodeAt(at++)] * base + digits[values.charCodeAt(at++)] - (base ** 2 - 1) / 2;
    /** @type {Weights} */
    const weights = {};
    for (const [name, shape] of Object.entries(shapes)) {
      const found = new Float32Array(shape.reduce((product, side) => product * side, 1));
      const width = shape[shape.length - 1];
      for (let start = 0; start < found.length; start += width) {
        const step = 2 ** (next() / 128);
        for (let n = 0; n < width; n++) found[start + n] = next() * step;
      }
      weights[name] = { shape, values: found };
    }
    if (at !== values.length) throw new Error(`${values.length} letters came, ${at} are needed.`);
    return weights;
  }

  // ---------------------------------------------------------------- Layers

  /**
   * Convolve, with padding "same", and apply a ReLU if asked to.
   *
   * out[i, j] = bias + sum over a, b of x[i * stride + a - before, j * stride + b - before] @ kernel[a, b]
   *
   * @param {Grid} x (H, W, C)
   * @param {Weight} kernel (k, k, C, F)
   * @param {Weight} bias (F,)
   * @param {number} stride
   * @param {boolean} relu
   * @returns {Grid} (H / stride, W / stride, F)
   */
  function convolve(x, kernel, bias, stride, relu) {
    const [size, , channels, filters] = kernel.shape;
    const out = empty(Math.ceil(x.height / stride), Math.ceil(x.width / stride), filters);
    const before = paddingBefore(size, stride, x.height);
    const sums = new Float64Array(filters);
    for (let i = 0; i < out.height; i++) {
      for (let j = 0; j < out.width; j++) {
        sums.set(bias.values);
        for (let a = 0; a < size; a++) {
          const row = i * stride + a - before;
          if (row < 0 || row >= x.height) continue; // zeros around the image
          for (let b = 0; b < size; b++) {
            const column = j * stride + b - before;
            if (column < 0 || column >= x.width) continue;
            const from = (row * x.width + column) * channels;
            for (let c = 0; c < channels; c++) {
              const value = x.values[from + c];
              if (value === 0) continue; // as half of them are behind a ReLU
              const weights = ((a * size + b) * channels + c) * filters;
              for (let f = 0; f < filters; f++) sums[f] += value * kernel.values[weights + f];
            }
          }
        }
        write(out, (i * out.width + j) * filters, sums, relu);
      }
    }
    return out;
  }

  /**
   * Convolve transposed, with padding "same": each input paints a square of k x k outputs, and squares add up.
   *
   * out[i * stride + a - before, j * stride + b - before] += x[i, j] @ kernel[a, b]
   *
   * @param {Grid} x (h, w, C)
   * @param {Weight} kernel (k, k, C, F), see `turned`
   * @param {Weight} bias (F,)
   * @param {number} stride
   * @param {boolean} relu
   * @returns {Grid} (h * stride, w * stride, F)
   */
  function convolveTransposed(x, kernel, bias, stride, relu) {
    const [size, , channels, filters] = kernel.shape;
    const out = empty(x.height * stride, x.width * stride, filters);
    const before = paddingBefore(size, stride, out.height);
    const sums = new Float64Array(out.values.length);
    for (let start = 0; start < sums.length; start += filters) sums.set(bias.values, start);
    for (let i = 0; i < x.height; i++) {
      for (let j = 0; j < x.width; j++) {
        const from = (i * x.width + j) * channels;
        for (let a = 0; a < size; a++) {
          const row = i * stride + a - before;
          if (row < 0 || row >= out.height) continue;
          for (let b = 0; b < size; b++) {
            const column = j * stride + b - before;
            if (column < 0 || column >= out.width) continue;
            const to = (row * out.width + column) * filters;
            for (let c = 0; c < channels; c++) {
              const value = x.values[from + c];
              if (value === 0) continue;
              const weights = ((a * size + b) * channels + c) * filters;
              for (let f = 0; f < filters; f++) sums[to + f] += value * kernel.values[weights + f];
            }
          }
        }
      }
    }
    write(out, 0, sums, relu);
    return out;
  }

  /**
   * Return the kernel of a transposed convolution with its channels before its filters. Keras keeps it the other way.
   * @param {Weight} kernel (k, k, F, C)
   * @returns {Weight} (k, k, C, F)
   */
  function turned({ shape: [size, , filters, channels], values }) {
    const around = new Float32Array(values.length);
    for (let n = 0; n < values.length; n++) {
      const c = n % channels;
      const f = Math.floor(n / channels) % filters;
      const tap = Math.floor(n / channels / filters);
      around[(tap * channels + c) * filters + f] = values[n];
    }
    return { shape: [size, size, channels, filters], values: around };
  }

  /**
   * Return how many zeros padding "same" puts before the first row: half of what it needs, the odd one goes behind.
   * @param {number} size Of the kernel.
   * @param {number} stride
   * @param {number} length Of the larger side.
   */
  function paddingBefore(size, stride, length) {
    const needed = (Math.ceil(length / stride) - 1) * stride + size - length;
    return Math.floor(Math.max(needed, 0) / 2);
  }

  /**
   * @param {number} height
   * @param {number} width
   * @param {number} depth
   * @returns {Grid}
   */
  function empty(height, width, depth) {
    return { height, width, depth, values: new Float32Array(height * width * depth) };
  }

  /**
   * @param {Grid} out
   * @param {number} start
   * @param {Float64Array} sums
   * @param {boolean} relu
   */
  function write(out, start, sums, relu) {
    for (let n = 0; n < sums.length; n++) out.values[start + n] = relu && sums[n] < 0 ? 0 : sums[n];
  }

  /** Cut off what is no pixel, as vqlib's decode does. @param {Grid} image @returns {Grid} */
  function clipped(image) {
    return { ...image, values: image.values.map((value) => Math.min(Math.max(value, -0.5), 0.5)) };
  }

  // ---------------------------------------------------------------- Search and look-up

  /**
   * Return the code of each vector, the index of the nearest codeword: argmin_k |z - e_k|².
   * @param {Grid} z (h, w, D)
   * @param {Weight} codebook (K, D)
   * @returns {Uint8Array} (h * w,)
   */
  function search(z, codebook) {
    const [size, depth] = codebook.shape;
    const codes = new Uint8Array(z.height * z.width);
    for (let place = 0; place < codes.length; place++) {
      let nearest = Infinity;
      for (let k = 0; k < size; k++) {
        let distance = 0;
        for (let d = 0; d < depth; d++) {
          distance += (z.values[place * depth + d] - codebook.values[k * depth + d]) ** 2;
        }
        if (distance < nearest) {
          nearest = distance;
          codes[place] = k;
        }
      }
    }
    return codes;
  }

  /**
   * Return the codeword of each code.
   * @param {ArrayLike<number>} codes (h * w,)
   * @param {number} width
   * @param {Weight} codebook (K, D)
   * @returns {Grid} (h, w, D)
   */
  function lookUp(codes, width, codebook) {
    const depth = codebook.shape[1];
    const z = empty(codes.length / width, width, depth);
    for (let place = 0; place < codes.length; place++) {
      z.values.set(codebook.values.subarray(codes[place] * depth, (codes[place] + 1) * depth), place * depth);
    }
    return z;
  }

  // ---------------------------------------------------------------- Models

  /**
   * Make a VQVAE of its weights: two strided layers each way, as vqlib.VQVAE has them.
   * @param {Weights} weights
   */
  function makeVQVAE(weights) {
    const codebook = weights["quantizer/codebook"];

    /** @param {string} name @returns {[Weight, Weight]} Kernel and bias. */
    const layer = (name) => [weights[`${name}/kernel`], weights[`${name}/bias`]];
    /** @param {string} name @returns {[Weight, Weight]} */
    const layerUp = (name) => [turned(weights[`${name}/kernel`]), weights[`${name}/bias`]];
    const [up1, up0, toPixels] = ["up_1", "up_0", "to_pixels"].map(layerUp);

    /** An image, (28, 28, 1), becomes 49 codes. @param {Grid} image */
    function encode(image) {
      const narrow = convolve(image, ...layer("down_0"), 2, true); // (14, 14, 32)
      const narrower = convolve(narrow, ...layer("down_1"), 2, true); // (7, 7, 64)
      const z = convolve(narrower, ...layer("to_embedding"), 1, false); // (7, 7, 16)
      return search(z, codebook);
    }

    /** 49 codes, or those of another grid 7 wide, become an image. @param {ArrayLike<number>} codes */
    function decode(codes, width = 7) {
      const zq = lookUp(codes, width, codebook); // (7, 7, 16)
      const wide = convolveTransposed(zq, ...up1, 2, true); // (14, 14, 64)
      const wider = convolveTransposed(wide, ...up0, 2, true); // (28, 28, 32)
      return clipped(convolveTransposed(wider, ...toPixels, 1, false)); // (28, 28, 1)
    }

    return { encode, decode, numEmbeddings: codebook.shape[0] };
  }

  vqlabs.arithmetic = { clipped, convolve, convolveTransposed, lookUp, makeVQVAE, search, turned, unpack };
})();
