// @ts-check
// What codebooks do, as chapters 1, 2, 3 and 6 write it down. The numbers beside the functions are those of the
// chapters' equations. Vectors are arrays of D numbers; points z are N of them, a codebook is K of them. No function
// changes what it is given. tests/test_labs_plane.py compares all of them with NumPy and vqlib.
"use strict";

(() => {
  /** @typedef {number[]} Vector */
  /** @typedef {() => number} Random uniform in [0, 1) */
  /** @typedef {{codebook: Vector[], counts: number[], sums: Vector[]}} Averages e, N and m of chapter 6 */

  const minus = (/** @type {Vector} */ a, /** @type {Vector} */ b) => a.map((value, d) => value - b[d]);
  const plus = (/** @type {Vector} */ a, /** @type {Vector} */ b) => a.map((value, d) => value + b[d]);
  const times = (/** @type {number} */ factor, /** @type {Vector} */ a) => a.map((value) => factor * value);
  const dot = (/** @type {Vector} */ a, /** @type {Vector} */ b) => a.reduce((sum, value, d) => sum + value * b[d], 0);
  const length = (/** @type {Vector} */ a) => Math.sqrt(dot(a, a));

  /** @param {Vector} a @param {Vector} b */
  function squaredDistance(a, b) {
    let sum = 0;
    for (let d = 0; d < a.length; d++) sum += (a[d] - b[d]) ** 2;
    return sum;
  }

  // Chapter 1: codes, cells and k-means.

  /** The code of a vector, equation 1.1: the number of its nearest codeword, of equally near ones the first.
   * @param {Vector} z @param {Vector[]} codebook */
  function nearest(z, codebook) {
    let best = 0;
    let least = Infinity;
    for (let k = 0; k < codebook.length; k++) {
      const distance = squaredDistance(z, codebook[k]);
      if (distance < least) [best, least] = [k, distance];
    }
    return best;
  }

  /** The codes of all points.
   * @param {Vector[]} points @param {Vector[]} codebook */
  function encode(points, codebook) {
    return points.map((z) => nearest(z, codebook));
  }

  /** The mean squared error over all points and all their entries, equation 1.3.
   * @param {Vector[]} points @param {Vector[]} codebook @param {number[]} [codes] */
  function distortion(points, codebook, codes = encode(points, codebook)) {
    const sum = points.reduce((total, z, n) => total + squaredDistance(z, codebook[codes[n]]), 0);
    return sum / (points.length * codebook[0].length);
  }

  /** Bits for each code when all K cost the same, the rate of equation 1.9 for one vector.
   * @param {number} K */
  function rate(K) {
    return Math.log2(K);
  }

  /** How many points chose each code, and the sum of these points: n and the sum of equation 6.2.
   * @param {Vector[]} points @param {number[]} codes @param {number} K */
  function groups(points, codes, K) {
    const counts = Array(K).fill(0);
    /** @type {Vector[]} */
    const sums = Array.from({ length: K }, () => points[0].map(() => 0));
    points.forEach((z, n) => {
      counts[codes[n]] += 1;
      z.forEach((value, d) => {
        sums[codes[n]][d] += value;
      });
    });
    return { counts, sums };
  }

  /** One step of k-means: codes by equation 1.6, then means by 1.7. A codeword that no point chose stays.
   * @param {Vector[]} points @param {Vector[]} codebook @returns {Vector[]} */
  function kmeansStep(points, codebook) {
    const { counts, sums } = groups(points, encode(points, codebook), codebook.length);
    return codebook.map((e, k) => (counts[k] ? times(1 / counts[k], sums[k]) : e));
  }

  /** Steps of k-means until one changes nothing, or `most` are done.
   * @param {Vector[]} points @param {Vector[]} codebook @param {number} [most] */
  function kmeans(points, codebook, most = 100) {
    for (let step = 0; step < most; step++) {
      const moved = kmeansStep(points, codebook);
      if (moved.every((e, k) => squaredDistance(e, codebook[k]) < 1e-18)) break;
      codebook = moved;
    }
    return codebook;
  }

  /** K of the points, each drawn far from those already chosen: with a probability that grows with the squared
   * distance to the nearest of them (k-means++).
   * @param {Vector[]} points @param {number} K @param {Random} random */
  function farApart(points, K, random) {
    const chosen = [points[Math.floor(random() * points.length)]];
    while (chosen.length < K) {
      const weights = points.map((z) => squaredDistance(z, chosen[nearest(z, chosen)]));
      let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
      const n = weights.findIndex((weight) => (left -= weight) < 0);
      chosen.push(points[Math.max(n, 0)]);
    }
    return chosen;
  }

  /** K different points, drawn at random.
   * @param {Vector[]} points @param {number} K @param {Random} random */
  function draw(points, K, random) {
    const left = [...points];
    return Array.from({ length: K }, () => left.splice(Math.floor(random() * left.length), 1)[0]);
  }

  /** The cell of codeword k inside a box: what is left of the box after one cut by equation 1.4 for each other
   * codeword. The corners of a polygon in order; none if another codeword lies in the same place and comes first.
   * @param {number} k @param {Vector[]} codebook @param {Vector[]} box the corners in order @returns {Vector[]} */
  function cell(k, codebook, box) {
    let corners = box;
    codebook.forEach((other, j) => {
      if (j === k || !corners.length) return;
      // 2 (e_j - e_k) · x = |e_j|² - |e_k|² is the border; below it, e_k is nearer.
      const normal = times(2, minus(other, codebook[k]));
      const limit = dot(other, other) - dot(codebook[k], codebook[k]);
      const beyond = (/** @type {Vector} */ x) => dot(normal, x) - limit;
      if (!length(normal)) {
        if (j < k) corners = [];
        return;
      }
      corners = corners.flatMap((corner, i) => {
        const next = corners[(i + 1) % corners.length];
        const [here, there] = [beyond(corner), beyond(next)];
        const kept = here <= 0 ? [corner] : [];
        if (here * there < 0) kept.push(plus(corner, times(here / (here - there), minus(next, corner))));
        return kept;
      });
    });
    return corners;
  }

  // Chapter 3: how many codes are in use.

  /** The number of equally likely codes that would be as hard to guess, equation 3.6.
   * @param {number[]} counts */
  function perplexity(counts) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    const shares = counts.filter((count) => count > 0).map((count) => count / total);
    return Math.exp(-shares.reduce((sum, p) => sum + p * Math.log(p), 0));
  }

  // Chapter 2: gradients. The loss is the squared distance of what the decoder sees to a target, |q - x|²; commitment
  // and codebook loss are β |z - sg[e]|² and |sg[z] - e|².

  /** The gradient of the loss at the codeword e, where the decoder was asked. Straight-through, equation 2.1, hands it
   * to z as it is.
   * @param {Vector} e @param {Vector} target */
  function straightThroughGradient(e, target) {
    return times(2, minus(e, target));
  }

  /** The gradient of the commitment loss for z.
   * @param {Vector} z @param {Vector} e @param {number} beta */
  function commitmentGradient(z, e, beta) {
    return times(2 * beta, minus(z, e));
  }

  /** The gradient of the codebook loss for the codeword that z chose.
   * @param {Vector} z @param {Vector} e */
  function codewordGradient(z, e) {
    return times(2, minus(e, z));
  }

  /** The slope of the staircase's average between the two codewords around z: its rise over their distance.
   * @param {number} z @param {number[]} codewords in increasing order @param {number} target */
  function averageSlope(z, codewords, target) {
    const last = codewords.length - 1;
    const above = codewords.findIndex((e) => e >= z);
    const right = Math.min(Math.max(above < 0 ? last : above, 1), last);
    const [a, b] = [codewords[right - 1], codewords[right]];
    return ((b - target) ** 2 - (a - target) ** 2) / (b - a);
  }

  /** The gradient that the rotation trick hands to z, equation 2.4: |e| / |z| times g turned by the angle from e to z.
   * R = I - 2 r rᵀ + 2 ê ẑᵀ turns ẑ to ê, and its transpose turns back.
   * @param {Vector} z @param {Vector} e @param {Vector} g the gradient at e */
  function rotatedGradient(z, e, g) {
    if (!length(z) || !length(e)) return g.map(() => 0); // no direction, no gradient
    const zHat = times(1 / length(z), z);
    const eHat = times(1 / length(e), e);
    const between = plus(zHat, eHat);
    const r = times(1 / Math.max(length(between), 1e-12), between); // 0 for opposite ones, as in vqlib
    const turned = plus(minus(g, times(2 * dot(r, g), r)), times(2 * dot(eHat, g), zHat)); // Rᵀ g
    return times(length(e) / length(z), turned);
  }

  /** Where z would come to rest in the cell of e: where straight-through and commitment cancel.
   * @param {number} e @param {number} target @param {number} beta above 0 */
  function restingPlace(e, target, beta) {
    return e + (target - e) / beta;
  }

  // Chapters 2 and 6: a codebook that learns from one batch.

  /** By its loss: each codeword that was chosen walks against its gradient, equation 2.3, in plain descent.
   * @param {Vector[]} batch @param {Vector[]} codebook @param {number} learningRate @returns {Vector[]} */
  function lossStep(batch, codebook, learningRate) {
    const { counts, sums } = groups(batch, encode(batch, codebook), codebook.length);
    const size = batch.length * codebook[0].length; // N D
    return codebook.map((e, k) => {
      if (!counts[k]) return e;
      const gradient = times((2 * counts[k]) / size, minus(e, times(1 / counts[k], sums[k])));
      return minus(e, times(learningRate, gradient));
    });
  }

  /** Counts and sums for a codebook that starts: each codeword has been chosen `counts[k]` times where it is.
   * @param {Vector[]} codebook @param {number[]} [counts] @returns {Averages} */
  function startAverages(codebook, counts = codebook.map(() => 1)) {
    return { codebook, counts, sums: codebook.map((e, k) => times(counts[k], e)) };
  }

  /** By moving averages: counts and sums remember the batches before, equations 6.2 to 6.4.
   * @param {Vector[]} batch @param {Averages} averages @param {number} decay @param {number} [epsilon]
   * @returns {Averages} */
  function averageStep(batch, averages, decay, epsilon = 1e-5) {
    const K = averages.codebook.length;
    const of = groups(batch, encode(batch, averages.codebook), K);
    const counts = averages.counts.map((count, k) => decay * count + (1 - decay) * of.counts[k]); // 6.2
    const sums = averages.sums.map((sum, k) => plus(times(decay, sum), times(1 - decay, of.sums[k])));
    return { codebook: ratios(averages.codebook, counts, sums, epsilon), counts, sums };
  }

  /** The codewords as ratios of sums and smoothed counts, equations 6.3 and 6.4. One without any count stays.
   * @param {Vector[]} codebook @param {number[]} counts @param {Vector[]} sums @param {number} epsilon */
  function ratios(codebook, counts, sums, epsilon) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    return codebook.map((e, k) => {
      const smoothed = ((counts[k] + epsilon) / (total + counts.length * epsilon)) * total;
      return smoothed > 0 ? times(1 / smoothed, sums[k]) : e;
    });
  }

  /** Put codes with a count below a fraction of the mean on vectors of the batch, with twice that count (chapter 6,
   * "Restart the dead"). `rows` says which vector each would get.
   * @param {Vector[]} batch @param {Averages} averages @param {number} below @param {number[]} rows
   * @returns {Averages & {restarted: number[]}} */
  function restart(batch, averages, below, rows) {
    const least = (below * averages.counts.reduce((sum, count) => sum + count, 0)) / averages.counts.length;
    const restarted = averages.counts.flatMap((count, k) => (count < least ? [k] : []));
    const dead = (/** @type {number} */ k) => restarted.includes(k);
    return {
      codebook: averages.codebook.map((e, k) => (dead(k) ? batch[rows[k]] : e)),
      counts: averages.counts.map((count, k) => (dead(k) ? 2 * least : count)),
      sums: averages.sums.map((sum, k) => (dead(k) ? times(2 * least, batch[rows[k]]) : sum)),
      restarted,
    };
  }

  vqlabs.codebooks = {
    minus,
    plus,
    times,
    dot,
    length,
    squaredDistance,
    nearest,
    encode,
    distortion,
    rate,
    groups,
    kmeansStep,
    kmeans,
    farApart,
    draw,
    cell,
    perplexity,
    straightThroughGradient,
    commitmentGradient,
    codewordGradient,
    averageSlope,
    rotatedGradient,
    restingPlace,
    lossStep,
    startAverages,
    averageStep,
    restart,
  };
})();
