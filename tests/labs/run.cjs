// Compute with the arithmetic of the labs: run.cjs SCRIPTS... MODEL encode|decode|logits|classes|sees[:DIGIT] < in > out
//
// Images are float32 (28, 28), one after the other, grids of codes uint8 (7, 7), logits float64 (7, 7, K), by a prior that
// is told the digit, if there is one; classes are float64 (50, 10), after 0 to 49 codes; what each position sees is uint8
// (49, 49), whatever the input. Of two levels, encodeLevels and decodeLevels: 49 codes and 196.
"use strict";
const fs = require("node:fs");
const vm = require("node:vm");

const [asked, model, ...scripts] = process.argv.slice(2).reverse();
const [what, digit] = asked.split(":");
globalThis.vqlabs = { loaded: {} };
for (const path of scripts.reverse()) vm.runInThisContext(fs.readFileSync(path, "utf-8"), { filename: path });
const weights = globalThis.vqlabs.arithmetic.unpack(globalThis.vqlabs.loaded[model]);
const places = Array.from({ length: 49 }, (_, place) => place);
const makePrior = () =>
  "vertical_0/kernel" in weights
    ? globalThis.vqlabs.gated.makeGatedPixelCNN(weights)
    : globalThis.vqlabs.pixelcnn.makePixelCNN(weights);

/** @type {Record<string, () => (bytes: Uint8Array) => any>} What is computed, of the bytes of one image or grid. */
const commands = {
  encode: () => {
    const { encode } = globalThis.vqlabs.arithmetic.makeVQVAE(weights);
    return (image) => encode({ height: 28, width: 28, depth: 1, values: new Float32Array(image.buffer) });
  },
  decode: () => {
    const { decode } = globalThis.vqlabs.arithmetic.makeVQVAE(weights);
    return (codes) => decode(codes).values;
  },
  encodeLevels: () => {
    const { encode } = globalThis.vqlabs.hierarchy.makeVQVAE2(weights);
    return (image) => {
      const { top, bottom } = encode({ height: 28, width: 28, depth: 1, values: new Float32Array(image.buffer) });
      return Uint8Array.from([...top, ...bottom]);
    };
  },
  decodeLevels: () => {
    const { decode } = globalThis.vqlabs.hierarchy.makeVQVAE2(weights);
    return (codes) => decode(codes.subarray(0, 49), codes.subarray(49)).values;
  },
  logits: () => {
    const { logits } = makePrior().begin(digit && Number(digit)); // one for all grids: it has to notice
    return (codes) => Float64Array.from(places.flatMap((place) => [...logits(codes, place)]));
  },
  classes: () => {
    const { classes } = makePrior().begin();
    return (codes) => Float64Array.from([...places, 49].flatMap((count) => [...classes(codes, count)]));
  },
  sees: () => {
    const { sees } = makePrior();
    return () => Uint8Array.from(places.flatMap(sees), Number);
  },
};

const compute = commands[what]();
const input = new Uint8Array(fs.readFileSync(0));
const size = what.startsWith("encode") ? 4 * 28 ** 2 : what === "decodeLevels" ? 49 + 196 : 49; // bytes
for (let start = 0; start < input.length; start += size) {
  const made = compute(input.slice(start, start + size));
  fs.writeSync(1, new Uint8Array(made.buffer));
}
