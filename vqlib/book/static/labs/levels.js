// @ts-check
// Two levels: a digit from the top codes of one image and the bottom codes of another, cell by cell if one likes.
"use strict";

(() => {
  const { announce, button, easel, make } = vqlabs;

  /** @typedef {"top" | "bottom"} Name */
  /** @typedef {{image: Float32Array, top: Uint8Array, bottom: Uint8Array}} Source */

  // Of a level: codes a side, pixels from one code to the next, and the pixels that a code paints, which begin before it.
  const LEVELS = {
    top: { side: 7, jump: 4, painted: 13, before: 3 },
    bottom: { side: 14, jump: 2, painted: 9, before: 3 },
  };
  /** @type {Name[]} */
  const NAMES = ["top", "bottom"];
  // Where a cell's code is from. Dice are no image: a code that they gave stays when the images change.
  const FROM = ["first", "second", "empty", "dice"];
  const WORDS = ["of the first image", "of the second image", "of the empty image", "drawn at random"];
  const [FIRST, SECOND, EMPTY, DICE] = FROM.keys();

  /**
   * Fill the place of the lab.
   * @param {HTMLElement} body
   */
  function fill(body) {
    const place = /** @type {HTMLElement} */ (body.parentElement);
    const start = JSON.parse(place.dataset.start ?? "");
    /** @type {Source[]} By FROM. */
    const sources = start.images.map((/** @type {string} */ image, /** @type {number} */ n) => ({
      image: easel.imagesFrom(image),
      top: Uint8Array.from(start.top[n]),
      bottom: Uint8Array.from(start.bottom[n]),
    }));
    const from = { top: new Uint8Array(49).fill(FIRST), bottom: new Uint8Array(196).fill(SECOND) };
    const codes = { top: sources[FIRST].top.slice(), bottom: sources[SECOND].bottom.slice() };
    /** @type {ArrayLike<number>} */
    let painted = easel.imagesFrom(start.painted);
    let brush = FIRST;
    /** @type {{name: Name, cell: number}} The cell that is looked at. */
    let here = { name: "top", cell: 24 };
    /** @type {number[]} Which test images are shown, as first and as second. */
    const shown = [0, 1];
    /** @type {any} What encodes and decodes, once it is there. */
    let model = null;
    /** @type {{image: Float32Array, label: number}[]} */
    let digits = [];
    const random = vqlabs.random(Date.now());

    // ---- Parts

    const squares = [FIRST, SECOND].map((which) => {
      const caption = ["First image", "Second image"][which];
      return easel.makeSquare(FROM[which], caption, { role: "img", "aria-label": caption });
    });
    const result = easel.makeSquare("result", "What they paint", {
      role: "img",
      "aria-label": "The image that the codes of both levels paint",
    });
    const line = make("p", { class: "lab-line" });
    const grids = { top: makeLevel("top"), bottom: makeLevel("bottom") };
    const brushes = FROM.map((name, n) => ({
      n,
      element: make(
        "button",
        { type: "button", class: "lab-button", onclick: () => take(n) },
        make("span", { class: "levels-sample", "data-from": name }),
        ["First image", "Second image", "Empty image", "Dice"][n],
      ),
    }));
    body.append(
      make("div", { class: "levels-images" }, ...squares.map(({ element }) => element), result.element),
      make(
        "div",
        { class: "lab-row" },
        make("span", {}, "Paint with codes of:"),
        ...brushes.map(({ element }) => element),
      ),
      make("div", { class: "levels-grids" }, ...NAMES.map((name) => grids[name].element)),
      line,
      make(
        "div",
        { class: "lab-row" },
        button("Another first image", () => act(() => another(FIRST))),
        button("Another second image", () => act(() => another(SECOND))),
      ),
    );

    /**
     * Make the grid of a level, with buttons that fill it.
     * @param {Name} name
     */
    function makeLevel(name) {
      const { side } = LEVELS[name];
      const grid = easel.makeCodes({
        label: `The ${side ** 2} ${name} codes`,
        caption: `The ${side ** 2} ${name} codes: paint them`,
        side,
        codes: () => codes[name],
        patches: [],
        begin: () => {},
        press: (/** @type {number} */ cell) => act(() => paint(name, cell)),
        look: (/** @type {number} */ cell) => look(name, cell),
        say: (/** @type {number} */ cell) => `code ${codes[name][cell]}, ${WORDS[from[name][cell]]}`,
      });
      const fills = [FIRST, SECOND, EMPTY].map((which) => {
        const label = `All ${name} codes ${WORDS[which]}`;
        return button(`All ${FROM[which]}`, () => act(() => fillLevel(name, which)), { "aria-label": label });
      });
      return { ...grid, element: make("div", {}, grid.element, make("div", { class: "lab-row" }, ...fills)) };
    }

    // ---- What is seen

    /** Show the state. */
    function draw() {
      squares.forEach(({ canvas }, which) => easel.show(canvas, sources[which].image));
      easel.show(result.canvas, painted);
      for (const name of NAMES) {
        grids[name].draw();
        for (const [cell, element] of grids[name].cells.entries()) {
          element.dataset.from = FROM[from[name][cell]];
          grids[name].rename(cell);
        }
      }
      look(here.name, here.cell);
    }

    /**
     * Outline what a code paints, and say what it is, and how far the image is from the two.
     * @param {Name} name
     * @param {number} cell
     */
    function look(name, cell) {
      here = { name, cell };
      const { side, jump, painted: size, before } = LEVELS[name];
      const [row, column] = [Math.floor(cell / side), cell % side];
      result.outlineAt(row * jump - before, column * jump - before, size);
      const errors = [FIRST, SECOND].map((which) => easel.meanSquaredError(painted, sources[which].image).toFixed(3));
      line.replaceChildren(
        `${name === "top" ? "Top" : "Bottom"}, row ${row + 1}, column ${column + 1}: `,
        `code ${codes[name][cell]}, ${WORDS[from[name][cell]]}. It paints `,
        make("span", { class: "easel-painted" }, `${size} × ${size}`),
        ` pixels. Mean squared error to the first image: ${errors[0]}, to the second: ${errors[1]}.`,
      );
    }

    // ---- The model

    const act = vqlabs.atTouch(body, () => model !== null, bring);

    async function bring() {
      const [packed, held] = await Promise.all([vqlabs.load("weights/mnist-two-levels-vqvae"), vqlabs.load("digits")]);
      digits = easel.digitsOf(held);
      model = vqlabs.hierarchy.makeVQVAE2(vqlabs.arithmetic.unpack(packed));
      for (const which of [FIRST, SECOND]) sources[which] = encoded(digits[shown[which]].image);
      sources[EMPTY] = encoded(easel.blank());
      decode();
      place.dataset.ready = "";
    }

    /** @param {Float32Array} image @returns {Source} */
    function encoded(image) {
      const size = easel.PIXELS;
      return { image, ...model.encode({ height: size, width: size, depth: 1, values: image }) };
    }

    function decode() {
      painted = model.decode(codes.top, codes.bottom).values;
      draw();
    }

    // ---- What is done

    /**
     * Take the next test image, and for the cells that are from this one its codes.
     * @param {number} which FIRST or SECOND.
     */
    function another(which) {
      do shown[which] = (shown[which] + 1) % digits.length; while (shown[FIRST] === shown[SECOND]);
      sources[which] = encoded(digits[shown[which]].image);
      for (const name of NAMES) {
        from[name].forEach((origin, cell) => {
          if (origin === which) codes[name][cell] = sources[which][name][cell];
        });
      }
      decode();
      announce(body, `The ${FROM[which]} image is a ${digits[shown[which]].label}.`);
    }

    /**
     * Give a level the codes of an image.
     * @param {Name} name
     * @param {number} which
     */
    function fillLevel(name, which) {
      from[name].fill(which);
      codes[name].set(sources[which][name]);
      decode();
      announce(body, `All ${name} codes are ${WORDS[which]}.`);
    }

    /**
     * Give a cell the code that the brush has for it.
     * @param {Name} name
     * @param {number} cell
     */
    function paint(name, cell) {
      from[name][cell] = brush;
      codes[name][cell] = brush === DICE ? random.integer(model.numEmbeddings[name]) : sources[brush][name][cell];
      look(name, cell);
      decode();
      announce(body, grids[name].name(cell));
    }

    /** @param {number} taken */
    function take(taken) {
      brush = taken;
      for (const { n, element } of brushes) element.setAttribute("aria-pressed", String(n === taken));
    }

    take(FIRST);
    draw();
  }

  vqlabs.lab("levels", fill);
})();
