// @ts-check
// The arithmetic of a VQVAE with two levels of codes, as chapter 9 builds it: the bottom is told the quantized top.
"use strict";

(() => {
  const { clipped, convolve, convolveTransposed, lookUp, search, turned } = vqlabs.arithmetic;
  /** @typedef {{height: number, width: number, depth: number, values: Float32Array}} Grid */
  /** @typedef {{shape: number[], values: Float32Array}} Weight */

  /**
   * Lay two grids of one size beside each other, the channels of the second behind those of the first.
   * @param {Grid} one (h, w, C)
   * @param {Grid} other (h, w, D)
   * @returns {Grid} (h, w, C + D)
   */
  function beside(one, other) {
    const depth = one.depth + other.depth;
    const values = new Float32Array(one.height * one.width * depth);
    for (let place = 0; place < one.height * one.width; place++) {
      values.set(one.values.subarray(place * one.depth, (place + 1) * one.depth), place * depth);
      values.set(other.values.subarray(place * other.depth, (place + 1) * other.depth), place * depth + one.depth);
    }
    return { height: one.height, width: one.width, depth, values };
  }

  /**
   * Make a VQVAE2 of its weights, as vqlib.VQVAE2 has them.
   * @param {Record<string, Weight>} weights By part, layer and name, such as "stem/down/kernel".
   */
  function makeVQVAE2(weights) {
    const codebooks = { top: weights["top_quantizer/codebook"], bottom: weights["bottom_quantizer/codebook"] };

    /** @param {string} name @returns {[Weight, Weight]} Kernel and bias. */
    const layer = (name) => [weights[`${name}/kernel`], weights[`${name}/bias`]];
    /** @param {string} name @returns {[Weight, Weight]} */
    const layerUp = (name) => [turned(weights[`${name}/kernel`]), weights[`${name}/bias`]];
    const decodeTop = layerUp("bottom_encoder/decode_top");
    const [enlargeTop, up1, up0, toPixels] = ["enlarge_top", "up_1", "up_0", "to_pixels"].map((name) =>
      layerUp(`decoder_of_both/${name}`)
    );

    /**
     * An image, (28, 28, 1), becomes 49 codes and 196.
     * @param {Grid} image
     * @returns {{top: Uint8Array, bottom: Uint8Array}}
     */
    function encode(image) {
      const features = convolve(image, ...layer("stem/down"), 2, true); // (14, 14, 32)
      const narrow = convolve(features, ...layer("top_encoder/down_0"), 2, true); // (7, 7, 64)
      const top = search(convolve(narrow, ...layer("top_encoder/to_embedding"), 1, false), codebooks.top);
      const decodedTop = convolveTransposed(lookUp(top, narrow.width, codebooks.top), ...decodeTop, 2, true);
      const both = beside(features, decodedTop); // (14, 14, 64)
      const bottom = search(convolve(both, ...layer("bottom_encoder/to_embedding"), 1, false), codebooks.bottom);
      return { top, bottom };
    }

    /**
     * 49 codes and 196 become an image.
     * @param {ArrayLike<number>} top
     * @param {ArrayLike<number>} bottom
     * @returns {Grid} (28, 28, 1)
     */
    function decode(top, bottom, width = 7) {
      const enlarged = convolveTransposed(lookUp(top, width, codebooks.top), ...enlargeTop, 2, false); // (14, 14, 16)
      const both = beside(enlarged, lookUp(bottom, 2 * width, codebooks.bottom)); // (14, 14, 32)
      const wide = convolveTransposed(both, ...up1, 1, true); // (14, 14, 32)
      const wider = convolveTransposed(wide, ...up0, 2, true); // (28, 28, 32)
      return clipped(convolveTransposed(wider, ...toPixels, 1, false)); // (28, 28, 1)
    }

    return { encode, decode, numEmbeddings: { top: codebooks.top.shape[0], bottom: codebooks.bottom.shape[0] } };
  }

  vqlabs.hierarchy = { makeVQVAE2 };
})();
