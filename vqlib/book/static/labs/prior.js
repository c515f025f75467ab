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
  const GUESSED = 0.1; // of the classes that the prior takes a grid for, those at least as probable are named

  /** @type {Record<string, {words: string, prior: string, tokenizer: string}>} */
  const PRIORS = {
    plain: { words: "plain (chapter 5)", prior: "weights/mnist-prior", tokenizer: "weights/mnist-vqvae" },
    gated: { words: "gated (chapter 7)", prior: "weights/mnist-ema-prior", tokenizer: "weights/mnist-ema-vqvae" },
  };

  /** A prior and what encodes and decodes its codes, each brought once. @type {Record<string, Promise<any>>} */
  const coming = {};

  /** Bring a prior. Fails where a file is missing or broken. @param {string} name */
  function bring(name) {
    const find = async () => {
      const { prior: weightsOf, tokenizer } = PRIORS[name];
      const [painter, packed] = await Promise.all([easel.wake(tokenizer), vqlabs.load(weightsOf)]);
      const weights = vqlabs.arithmetic.unpack(packed);
      const { makePixelCNN } = vqlabs.pixelcnn;
      const isGated = "vertical_0/kernel" in weights; // in a notebook the prior is the reader's, of either kind
      const prior = isGated ? vqlabs.gated.makeGatedPixelCNN(weights) : makePixelCNN(weights);
      /** @type {Float32Array[]} */
      const patches = [];
      return { name, painter, prior, patches, painted: null };
    };
    coming[name] = coming[name] ?? find();
    return coming[name];
  }

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

  /** @param {number} digit */
  function named(digit) {
    return `${digit === 8 ? "an" : "a"} ${digit}`;
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
    let drawing = false; // is the pen down?
    let temperature = 1;
    let way = "sample"; // or "likeliest"
    let digit = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    let playing;
    /** @type {Float32Array[]} What each code paints. */
    const patches = [];
    /** @type {Float32Array} What is drawn. */
    let image = easel.blank();
    let wanted = place.dataset.prior ?? "plain"; // the prior that the reader has chosen
    let used = ""; // and the one that is there
    /** @type {any} What encodes and decodes. */
    let painter = null;
    /** @type {any} */
    let prior = null;
    /** @type {number | undefined} The class that the prior is told. */
    let told;
    /** @type {any} What gives the logits of the grid, and if no class is told, those that the prior takes it for. */
    let writer = null;
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
    const ofPriors = vqlabs.choice({
      label: "Prior",
      options: Object.entries(PRIORS).map(([name, { words }]) => [name, words]),
      value: wanted,
      change: (/** @type {string} */ value) => {
        wanted = value;
        act(() => announce(body, line.textContent ?? ""));
      },
    });
    const digits = Array.from({ length: 10 }, (_, each) => each);
    const ofClasses = vqlabs.choice({
      label: "Told",
      options: [["", "nothing"], ...digits.map((each) => [String(each), `it is ${named(each)}`])],
      value: "",
      change: (/** @type {string} */ value) => {
        told = value === "" ? undefined : Number(value);
        act(tellClass);
      },
    });
    ofPriors.element.hidden = !vqlabs.folder; // in a notebook there is one
    ofClasses.element.hidden = true;
    body.append(
      make("div", { class: "lab-row" }, ofPriors.element, ofClasses.element),
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

    const act = vqlabs.atTouch(body, () => used === wanted, async () => {
      const found = await bring(wanted);
      if (found.name === wanted) use(found); // else the reader has chosen again
    });

    /**
     * Go on with another prior. Its codes are others, so those that are there are decoded, and the image encoded anew.
     * @param {any} found What `bring` gives.
     */
    function use(found) {
      const anew = painter && found.painter.encode(painter.decode(filled()));
      const isThere = codes.map((code) => code !== NONE);
      ({ painter, prior } = found);
      used = found.name;
      patches.length = 0;
      codes = codes.map(() => NONE);
      grid.draw();
      if (anew) codes = codes.map((_, cell) => isThere[cell] ? anew[cell] : NONE);
      ofClasses.element.hidden = prior.numClasses === 0;
      begin();
      delete place.dataset.ready;
      found.painted = found.painted ?? easel.findPatches(found.painter.model, found.painter.empty[0], found.patches);
      found.painted.then(() => {
        if (used !== found.name) return;
        patches.push(...found.patches);
        show();
        place.dataset.ready = "";
      });
    }

    /** Begin with a prior, and what it is told: what is written costs other bits. */
    function begin() {
      writer = prior.begin(prior.numClasses ? told : undefined);
      bits = codes.map((code, cell) => cell < next ? bitsOf(code, cell) : NaN);
      show();
    }

    function tellClass() {
      begin();
      announce(body, line.textContent ?? "");
    }

    // ---- What is seen

    /** @param {number} cell */
    function stateOf(cell) {
      if (codes[cell] === NONE) return "not written yet";
      return `code ${codes[cell]}${kept[cell] ? ", kept" : ""}`;
    }

    /** Return the codes, those of an empty image where none are written. */
    function filled() {
      return codes.map((code, cell) => code === NONE ? painter.empty[cell] : code);
    }

    /** Show the state. */
    function show() {
      grid.draw();
      map.show(bits);
      easel.show(result.canvas, painter.decode(filled()));
      if (next < SIZE) look(next);
      else {
        result.clear();
        for (const cell of grid.cells) delete cell.dataset.view;
      }
      tell();
      if (playing === undefined && !drawing) offer(); // it takes the time of eight images
    }

    function tell() {
      const spent = bits.reduce((sum, each) => sum + (each || 0), 0).toFixed(1);
      const guess = writer.classes && next > 0 ? ` ${guessOf(writer.classes(codes, next))}` : "";
      if (next === SIZE) {
        const plain = SIZE * Math.log2(prior.numEmbeddings);
        line.textContent = `All 49 codes are written, in ${spent} bits. Without a prior they take ${plain}.${guess}`;
        return;
      }
      const seen = prior.sees(next).filter(Boolean).length;
      const blind = next - seen;
      const sees = (/** @type {string} */ words) => make("span", { class: "easel-seen" }, words);
      /** @type {(Node | string)[]} */
      let view = ["No code is before it"];
      if (next === 1) view = ["It ", sees("sees the code"), " before it"];
      else if (blind) {
        const mark = make("span", { class: "easel-painted" }, `is blind to ${blind} ✕`);
        view = ["It ", sees(`sees ${seen}`), ` of the ${next} codes before it, and `, mark];
      } else if (next) view = ["It ", sees("sees all"), ` ${next} codes before it`];
      line.replaceChildren(
        `Next: row ${Math.floor(next / SIDE) + 1}, column ${next % SIDE + 1}. `,
        ...view,
        `. Bits so far: ${spent}.${guess}`,
      );
    }

    /**
     * Say which classes the prior takes the codes for.
     * @param {Float64Array} classes
     */
    function guessOf(classes) {
      const likely = likeliest(classes, classes.length).filter((each) => classes[each] >= GUESSED);
      return `The prior takes it for ${
        likely.map((each) => `${named(each)} (${asPercent(classes[each])})`).join(" or ")
      }.`;
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
      const chances = probabilities(writer.logits(codes, next), temperature);
      const offered = filled();
      for (const code of likeliest(chances, SHOWN)) {
        offered[next] = code;
        const canvas = make("canvas", { width: easel.PIXELS, height: easel.PIXELS });
        easel.show(canvas, painter.decode(offered));
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
      bits[next] = bitsOf(code, next);
      codes[next] = code;
      next++;
    }

    /** @param {number} code @param {number} cell */
    function bitsOf(code, cell) {
      return -Math.log2(probabilities(writer.logits(codes, cell), 1)[code]);
    }

    /** Write the next code: the one that is kept, or one that the prior gives. */
    function advance() {
      if (kept[next]) return write(codes[next]);
      const chances = probabilities(writer.logits(codes, next), temperature);
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
      const rows = (SIDE + 1) / 2;
      digit = (digit + 1) % painter.digits.length;
      image = easel.blank();
      image.set(given.subarray(0, rows * easel.JUMP * easel.PIXELS)); // so that one can go on drawing
      give(painter.encode(given), (cell) => cell < rows * SIDE);
      announce(body, `The upper half of ${named(label)} is kept.`);
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
      begin: () => {
        drawing = true;
      },
      end: () => {
        drawing = false;
        act(offer);
      },
      line: (/** @type {number[]} */ from, /** @type {number[]} */ to) => {
        easel.stroke(image, from, to);
        act(giveDrawn);
      },
      say: (/** @type {string} */ words) => announce(body, words),
    });
    grid.draw();
    easel.show(result.canvas, image);
    map.show(bits);
    line.textContent = "Press Step, or Play.";
  }

  vqlabs.lab("prior", fill);
})();
