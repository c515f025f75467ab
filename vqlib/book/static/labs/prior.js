// @ts-check
// The prior at work: a PixelCNN writes a grid of codes, one position at a time.
//
// Cells that are kept are given, as to vqlib.sample(prior, codes=..., keep=...); all others are drawn, row by row.
"use strict";

(() => {
  const { announce, button, easel, make } = vqlabs;
  const { PAINTED, SIDE } = easel;
  const SIZE = SIDE ** 2;
  const SHOWN = 8; // of the next codes, the likeliest
  const PAUSE = 150; // milliseconds between two steps that play by themselves
  const NONE = -1; // in place of a code that is not written yet

  /**
   * Return the probabilities that logits stand for, at a temperature: softmax(logits / temperature).
   * @param {Float64Array} logits
   * @param {number} temperature
   */
  function probabilities(logits, temperature) {
    const largest = Math.max(...logits);
    const weights = logits.map((logit) => Math.exp((logit - largest) / temperature));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }

  /**
   * Draw a code.
   * @param {Float64Array} chances
   * @param {number} uniform In [0, 1).
   */
  function draw(chances, uniform) {
    let sum = 0;
    const code = chances.findIndex((chance) => (sum += chance) > uniform);
    return code < 0 ? chances.length - 1 : code; // rounding may leave the sum below 1
  }

  /**
   * Return the places of the largest entries, the largest first.
   * @param {Float64Array} chances
   * @param {number} count
   */
  function likeliest(chances, count) {
    return [...chances.keys()].sort((one, other) => chances[other] - chances[one]).slice(0, count);
  }

  /** @param {number} share */
  function asPercent(share) {
    return share < 0.001 ? "under 0.1%" : `${(100 * share).toFixed(1)}%`;
  }

  /** Make the map of the bits that each code took. */
  function makeBits() {
    const cells = Array.from({ length: SIZE }, () => make("span"));
    const square = make("div", { class: "prior-bits", role: "img" }, ...cells);
    const caption = make("p", { class: "easel-caption" }, "Bits of each code");

    /** @param {number[]} bits NaN where nothing is written. */
    function show(bits) {
      for (const [place, cell] of cells.entries()) {
        const known = !Number.isNaN(bits[place]);
        cell.textContent = known ? bits[place].toFixed(1) : "";
        cell.style.setProperty("--full", known ? `${Math.min(bits[place] / 10, 1) * 100}%` : "0%");
      }
      const rows = Array.from({ length: SIDE }, (_, row) => bits.slice(row * SIDE, (row + 1) * SIDE));
      const total = (/** @type {number[]} */ row) => row.reduce((sum, each) => sum + (each || 0), 0).toFixed(0);
      square.setAttribute("aria-label", `Bits of each row of codes: ${rows.map(total).join(", ")}`);
    }
    return { element: make("div", { class: "easel-image" }, caption, square), show };
  }

  /**
   * Fill the place of the lab.
   * @param {HTMLElement} body
   */
  function fill(body) {
    const place = /** @type {HTMLElement} */ (body.parentElement);
    /** @type {number[]} */
    let codes = new Array(SIZE).fill(NONE);
    /** @type {boolean[]} */
    let kept = new Array(SIZE).fill(false);
    /** @type {number[]} */
    let bits = new Array(SIZE).fill(NaN);
    let next = 0; // the position to write
    let temperature = 1;
    let way = "sample"; // or "likeliest"
    let digit = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    let playing;
    /** @type {Float32Array[]} What each code paints. */
    const patches = [];
    /** @type {Float32Array} What is drawn. */
    let image = easel.blank();
    /** @type {any} What encodes and decodes, once it is there. */
    let painter = null;
    /** @type {any} */
    let prior = null;
    /** @type {any} */
    let logitsAt = null;
    /** @type {Promise<void> | null} */
    let waking = null;
    const random = vqlabs.random(Date.now());

    const grid = easel.makeCodes({
      label: "The 49 codes that the prior writes",
      caption: "The codes: press to keep one",
      codes: () => codes,
      patches,
      begin: () => {},
      press: (/** @type {number} */ cell) => act(() => toggle(cell)),
      look,
      say: (/** @type {number} */ cell) => stateOf(cell),
    });
    const result = easel.makeSquare("result", "The image: draw on it", {
      role: "application",
      tabindex: 0,
      "aria-label": "The image. What you draw is encoded and kept. The space bar puts the pen down and lifts it.",
    });
    const map = makeBits();
    const line = make("p", { class: "lab-line" });
    const list = make("ul", { class: "prior-list", "aria-label": "The likeliest next codes: press one to write it" });
    const play = button("Play", () => act(togglePlay));
    const slider = vqlabs.slider({
      label: "Temperature",
      min: 0.1,
      max: 2,
      step: 0.1,
      value: 1,
      say: (/** @type {number} */ value) => value.toFixed(1),
      change: (/** @type {number} */ value) => {
        temperature = value;
        act(show);
      },
    });
    /** @type {[string, string][]} */
    const options = [["sample", "a sample"], ["likeliest", "the likeliest"]];
    const choice = vqlabs.choice({
      label: "Write",
      options,
      value: way,
      change: (/** @type {string} */ value) => way = value,
    });
    body.append(
      make("div", { class: "easel" }, map.element, grid.element, result.element),
      line,
      make(
        "div",
        { class: "lab-row" },
        button("Step", () => act(step)),
        play,
        button("To the end", () => act(finish)),
        button("Sample again", () => act(again)),
      ),
      make(
        "div",
        { class: "lab-row" },
        button("Upper half of a digit", () => act(halfDigit)),
        button("Empty", () => act(clear)),
        choice.element,
        slider.element,
      ),
      list,
    );

    // ---- The models

    /**
     * Do something that needs the models: at once if they are there, else when they have come.
     * @param {() => void} action
     */
    function act(action) {
      if (prior) action();
      else wake().then(action, () => {});
    }

    /** Bring the models, once. */
    function wake() {
      waking ??= bring().catch((error) => {
        vqlabs.fail(body, "The trained models did not come: a file of the book is missing or broken.");
        throw error;
      });
      return waking;
    }

    async function bring() {
      const [found, packed] = await Promise.all([easel.wake(), vqlabs.load("weights/mnist-prior")]);
      painter = found;
      prior = vqlabs.pixelcnn.makePixelCNN(vqlabs.arithmetic.unpack(packed));
      logitsAt = prior.begin();
      show();
      easel.findPatches(found.model, found.empty[0], patches).then(() => {
        show();
        place.dataset.ready = "";
      });
    }

    // ---- What is seen

    /** @param {number} cell */
    function stateOf(cell) {
      if (codes[cell] === NONE) return "not written yet";
      return `code ${codes[cell]}${kept[cell] ? ", kept" : ""}`;
    }

    /** Show the state. */
    function show() {
      grid.draw();
      map.show(bits);
      const filled = codes.map((code, cell) => code === NONE ? painter.empty[cell] : code);
      easel.show(result.canvas, painter.decode(filled));
      if (next < SIZE) look(next);
      else for (const cell of grid.cells) delete cell.dataset.view;
      tell();
      if (playing === undefined) offer();
    }

    function tell() {
      const spent = bits.reduce((sum, each) => sum + (each || 0), 0).toFixed(1);
      if (next === SIZE) {
        const plain = SIZE * Math.log2(prior.numEmbeddings);
        line.textContent = `All 49 codes are written, in ${spent} bits. Without a prior they take ${plain}.`;
        return;
      }
      const seen = prior.sees(next).filter(Boolean).length;
      line.replaceChildren(
        `Next: row ${Math.floor(next / SIDE) + 1}, column ${next % SIDE + 1}. It `,
        make("span", { class: "easel-seen" }, `sees ${seen}`),
        ` of the ${next} codes before it`,
        ...(seen < next ? [", and ", make("span", { class: "easel-painted" }, `is blind to ${next - seen} ✕`)] : []),
        `. Bits so far: ${spent}.`,
      );
    }

    /**
     * Show what a position sees of those before it.
     * @param {number} cell
     */
    function look(cell) {
      result.outline(cell, PAINTED);
      if (!prior) return;
      const seen = prior.sees(cell);
      grid.cells.forEach((/** @type {HTMLElement} */ each, /** @type {number} */ n) => {
        each.dataset.view = n === cell ? "here" : n > cell ? "later" : seen[n] ? "seen" : "blind";
        each.toggleAttribute("data-kept", kept[n]);
      });
    }

    /** Offer the likeliest next codes, each with what it would paint here. */
    function offer() {
      list.replaceChildren();
      if (next === SIZE) return;
      const chances = probabilities(logitsAt(codes, next), temperature);
      const filled = codes.map((code, cell) => code === NONE ? painter.empty[cell] : code);
      for (const code of likeliest(chances, SHOWN)) {
        filled[next] = code;
        const canvas = make("canvas", { width: easel.PIXELS, height: easel.PIXELS });
        easel.show(canvas, painter.decode(filled));
        const words = [make("span", {}, String(code)), make("span", {}, asPercent(chances[code]))];
        const name = `Write code ${code}, probability ${asPercent(chances[code])}`;
        list.append(make(
          "li",
          {},
          make(
            "button",
            { type: "button", class: "lab-button", "aria-label": name, onclick: () => choose(code) },
            canvas,
            ...words,
          ),
        ));
      }
    }

    // ---- What is done

    /**
     * Write a code at the next position, and count its bits: those of the prior itself, at temperature 1.
     * @param {number} code
     */
    function write(code) {
      bits[next] = -Math.log2(probabilities(logitsAt(codes, next), 1)[code]);
      codes[next] = code;
      next++;
    }

    /** Write the next code: the one that is kept, or one that the prior gives. */
    function advance() {
      if (kept[next]) return write(codes[next]);
      const chances = probabilities(logitsAt(codes, next), temperature);
      write(way === "sample" ? draw(chances, random.uniform()) : likeliest(chances, 1)[0]);
    }

    function step() {
      if (next === SIZE) return;
      const written = next;
      advance();
      show();
      announce(body, grid.name(written));
    }

    /** @param {number} code */
    function choose(code) {
      const written = next;
      write(code);
      show();
      announce(body, grid.name(written));
      list.querySelector("button")?.focus();
    }

    function finish() {
      halt();
      while (next < SIZE) advance();
      show();
      announce(body, line.textContent ?? "");
    }

    /** Forget all but what is kept. */
    function restart() {
      halt();
      next = 0;
      bits = bits.map(() => NaN);
      codes = codes.map((code, cell) => kept[cell] ? code : NONE);
    }

    function again() {
      restart();
      finish();
    }

    function clear() {
      kept = kept.map(() => false);
      image = easel.blank();
      restart();
      show();
      announce(body, "Nothing is written, nothing is kept.");
    }

    /** Give the codes of a test image's upper half. */
    function halfDigit() {
      const { image: given, label } = painter.digits[digit];
      digit = (digit + 1) % painter.digits.length;
      image = easel.blank();
      give(painter.encode(given), (cell) => cell < (SIDE + 1) / 2 * SIDE);
      announce(body, `The upper half of a ${label} is kept.`);
    }

    /** Give the codes of what is drawn: of cells with ink, and of the rows above the last of them. */
    function giveDrawn() {
      const drawn = painter.encode(image);
      const inked = [...drawn.keys()].filter((cell) => drawn[cell] !== painter.empty[cell]);
      const last = Math.floor(Math.max(...inked, 0) / SIDE);
      give(drawn, (cell) => cell < last * SIDE || inked.includes(cell));
    }

    /**
     * Keep some codes of a grid, and begin anew with them.
     * @param {Uint8Array} given
     * @param {(cell: number) => boolean} keeps
     */
    function give(given, keeps) {
      codes = [...given];
      kept = codes.map((_, cell) => keeps(cell));
      restart();
      show();
    }

    /**
     * Keep a code, or let it go.
     * @param {number} cell
     */
    function toggle(cell) {
      if (codes[cell] === NONE) return announce(body, grid.name(cell));
      kept[cell] = !kept[cell];
      grid.rename(cell);
      look(cell);
      announce(body, grid.name(cell));
    }

    function togglePlay() {
      if (playing !== undefined) {
        halt();
        return show();
      }
      if (next === SIZE) restart();
      if (vqlabs.still()) return finish();
      play.textContent = "Pause";
      list.replaceChildren();
      playing = setInterval(() => {
        advance();
        if (next === SIZE) halt();
        show();
      }, PAUSE);
    }

    function halt() {
      clearInterval(playing);
      playing = undefined;
      play.textContent = "Play";
    }

    easel.listenForStrokes(result, {
      begin: () => {},
      line: (/** @type {number[]} */ from, /** @type {number[]} */ to) => {
        easel.stroke(image, from, to);
        act(giveDrawn);
      },
      say: (/** @type {string} */ words) => announce(body, words),
    });
    for (const touch of ["pointerdown", "focusin"]) body.addEventListener(touch, () => act(() => {}));
    grid.draw();
    easel.show(result.canvas, image);
    map.show(bits);
    line.textContent = "Press Step, or Play.";
  }

  vqlabs.lab("prior", fill);
})();
