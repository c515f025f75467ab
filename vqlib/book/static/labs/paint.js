// @ts-check
// Paint with codes: an image to draw on, its 49 codes to change, and the image that they paint.
//
// The lab "paint" has a palette; "strip" is the small one of the front page. The model comes at the first touch.
"use strict";

(() => {
  const { announce, button, easel, make } = vqlabs;
  const { PAINTED, SEEN, SIDE } = easel;
  const STEPS = 200; // that can be undone
  const SCALE = 10; // of the saved image
  const LINK = /^#paint-([\w-]{66})$/; // the letters of 49 bytes

  /** @typedef {{image: Float32Array, codes: Uint8Array, rebuilt: ArrayLike<number>}} State */

  // ---------------------------------------------------------------- Links

  /**
   * Return a grid as the fragment of an address, of letters that a name in CSS may have: the page's own scripts look
   * for an element of that name.
   * @param {Uint8Array} codes
   */
  function fragmentOf(codes) {
    const letters = btoa(String.fromCharCode(...codes));
    return `#paint-${letters.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`;
  }

  /**
   * Return the grid that a fragment holds, or null.
   * @param {string} fragment
   * @param {number} numEmbeddings
   */
  function gridFrom(fragment, numEmbeddings) {
    const found = LINK.exec(fragment);
    if (!found) return null;
    const letters = atob(found[1].replace(/-/g, "+").replace(/_/g, "/"));
    const codes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    return codes.every((code) => code < numEmbeddings) ? codes : null;
  }

  // ---------------------------------------------------------------- Brush and palette

  /**
   * Order codes so that each is followed by one that paints alike: from the empty patch, always on to the nearest.
   * @param {Float32Array[]} patches
   * @param {number} first
   */
  function byLook(patches, first) {
    const order = [first];
    const left = new Set(patches.keys());
    left.delete(first);
    while (left.size) {
      const from = patches[order[order.length - 1]];
      const far = (/** @type {number} */ code) => easel.meanSquaredError(patches[code], from);
      const next = [...left].reduce((best, code) => (far(code) < far(best) ? code : best));
      order.push(next);
      left.delete(next);
    }
    return order;
  }

  /**
   * Make the brush: what a press on a cell does, and the palette, from which it takes a code.
   * @param {number} code To begin with.
   */
  function makeBrush(code) {
    let tool = "paint";
    /** @type {Float32Array[]} */
    let patches = [];
    /** @type {(() => void) | null} */
    let mark = null;
    const sample = make("span", { class: "paint-sample" });
    const tile = easel.makeTile(sample);
    const words = make("span");
    const tools = [["paint", "Paint"], ["rub", "Rub out"], ["pick", "Pick up"]].map(([name, label]) => ({
      name,
      element: button(label, () => take(name)),
    }));

    /** @param {string} name */
    function take(name) {
      tool = name;
      for (const { name, element } of tools) element.setAttribute("aria-pressed", String(name === tool));
      words.textContent = `Brush: code ${code}`;
      tile.draw(code, patches);
      mark?.();
    }

    /** @param {number} picked */
    function choose(picked) {
      code = picked;
      take("paint");
    }

    /**
     * Return the code that a cell has after a press.
     * @param {number} cell
     * @param {number} held
     * @param {Uint8Array} empty The codes of the empty image.
     */
    function use(cell, held, empty) {
      if (tool === "pick") choose(held);
      return tool === "rub" ? empty[cell] : code;
    }

    /**
     * Make the palette, when it is known what codes paint.
     * @param {Float32Array[]} found
     * @param {number} empty The code of the empty patch.
     */
    function open(found, empty) {
      patches = found;
      const orders = { look: byLook(patches, empty), number: [...patches.keys()] };
      const rack = make("div");
      const lay = (/** @type {string} */ name) => {
        const order = name === "look" ? orders.look : orders.number;
        const palette = makePalette({ patches, order, choose });
        mark = () => palette.mark(code);
        mark();
        rack.replaceChildren(palette.element);
      };
      /** @type {[string, string][]} */
      const options = [["look", "by look"], ["number", "by number"]];
      const choice = vqlabs.choice({ label: "Order of the codes", options, value: "look", change: lay });
      lay("look");
      take(tool);
      return [choice.element, rack];
    }

    take(tool);
    const element = make("div", { class: "lab-row" }, ...tools.map(({ element }) => element), sample, words);
    return { element, open, picks: () => tool === "pick", use };
  }

  /**
   * Make a palette.
   * @param {{patches: Float32Array[], order: number[], choose: (code: number) => void}} options
   */
  function makePalette({ patches, order, choose }) {
    const grid = vqlabs.grid({
      label: "The palette: what each code paints",
      count: order.length,
      columns: matchMedia("(max-width: 600px)").matches ? 11 : 16,
      name: (/** @type {number} */ place) => `Code ${order[place]}`,
      press: (/** @type {number} */ place) => choose(order[place]),
    });
    grid.element.classList.add("paint-palette");
    for (const [place, cell] of grid.cells.entries()) easel.makeTile(cell).draw(order[place], patches);

    /** @param {number} code */
    function mark(code) {
      for (const [place, cell] of grid.cells.entries()) {
        cell.setAttribute("aria-selected", String(order[place] === code));
      }
    }
    return { element: grid.element, mark };
  }

  // ---------------------------------------------------------------- The lab

  /**
   * Fill the place of the lab.
   * @param {HTMLElement} body
   * @param {boolean} whole With palette, link and saving; without them it is the strip.
   */
  function fill(body, whole) {
    const place = /** @type {HTMLElement} */ (body.parentElement);
    const start = JSON.parse(place.dataset.start ?? "");
    /** @type {State} */
    let state = {
      image: easel.imagesFrom(start.image),
      codes: Uint8Array.from(start.codes),
      rebuilt: easel.imagesFrom(start.rebuilt),
    };
    /** @type {State[]} */
    const past = [];
    /** @type {State[]} */
    const future = [];
    /** @type {Float32Array[]} What each code paints. */
    const patches = [];
    /** @type {any} What encodes and decodes, once it is there. */
    let painter = null;
    let here = (SIDE ** 2 - 1) / 2; // the cell that is looked at
    let digit = 0;
    const random = vqlabs.random(Date.now());

    const drawing = easel.makeSquare("image", "An image: draw on it", {
      role: "application",
      tabindex: 0,
      "aria-label": "The image to draw on. The space bar puts the pen down and lifts it, arrows move it.",
    });
    const result = easel.makeSquare("result", "What they paint", {
      role: "img",
      "aria-label": "The image that the codes paint",
    });
    const codes = easel.makeCodes({
      label: "The 49 codes",
      caption: whole ? "Its 49 codes: paint them" : "Its 49 codes: press one",
      codes: () => state.codes,
      patches,
      begin: () => act(() => brush?.picks() || keep()),
      press: (/** @type {number} */ cell) => act(() => press(cell)),
      look,
    });
    const line = make("p", { class: "lab-line" });
    const undo = button("Undo", () => step(past, future, "Undone."));
    const redo = button("Redo", () => step(future, past, "Done again."));
    const brush = whole ? makeBrush(state.codes[here]) : null;
    const more = make("a", {}, whole ? "This grid on the page of labs" : "Paint with all codes");
    body.append(
      make("div", { class: "easel" }, drawing.element, codes.element, result.element),
      line,
      make(
        "div",
        { class: "lab-row" },
        button("Test digit", () => act(nextDigit)),
        button("Empty", () => act(() => beginWith(easel.blank(), "An image without ink."))),
        button("Dice", () => act(dice)),
        undo,
        redo,
      ),
    );
    if (brush) {
      const shelf = make("div", { class: "paint-shelf" }, button("Show all codes", () => act(() => {})));
      const out = make("div", { class: "lab-row" }, button("Save as PNG", save));
      if (place.dataset.more) out.append(more);
      else if (location.protocol !== "about:") out.prepend(button("Link to this grid", copyLink)); // a notebook has none
      body.append(brush.element, shelf, out);
    } else body.append(make("p", {}, more));

    // ---- What is seen

    /** Show the state. */
    function draw() {
      easel.show(drawing.canvas, state.image);
      easel.show(result.canvas, state.rebuilt);
      codes.draw();
      undo.disabled = !past.length;
      redo.disabled = !future.length;
      more.href = `${place.dataset.more}${fragmentOf(state.codes)}`;
      tell();
    }

    /** Say in a line what the cell is that is looked at, and how far the two images are apart. */
    function tell() {
      const error = easel.meanSquaredError(state.rebuilt, state.image);
      line.replaceChildren(
        `${codes.name(here)}, sees `,
        make("span", { class: "easel-seen" }, `${SEEN} × ${SEEN}`),
        " pixels and paints ",
        make("span", { class: "easel-painted" }, `${PAINTED} × ${PAINTED}`),
        `. Mean squared error between the images: ${error.toFixed(4)}.`,
      );
    }

    /**
     * Outline what the code of a cell sees, and what it paints.
     * @param {number} cell
     */
    function look(cell) {
      here = cell;
      drawing.outline(cell, SEEN);
      result.outline(cell, PAINTED);
      tell();
    }

    // ---- The model

    const act = vqlabs.atTouch(body, () => painter !== null, bring);

    async function bring() {
      const found = await easel.wake();
      painter = found;
      follow();
      easel.findPatches(found.model, found.empty[0], patches).then(() => {
        draw();
        const shelf = body.querySelector(".paint-shelf");
        if (brush) shelf?.replaceChildren(...brush.open(patches, found.empty[0]));
        place.dataset.ready = "";
      });
    }

    // ---- What is done

    /** Keep the state, so that one can come back to it. */
    function keep() {
      past.push({ ...state, image: state.image.slice(), codes: state.codes.slice() });
      if (past.length > STEPS) past.shift();
      future.length = 0;
    }

    /**
     * Go back, or forth again.
     * @param {State[]} from
     * @param {State[]} to
     * @param {string} words
     */
    function step(from, to, words) {
      const next = from.pop();
      if (!next) return;
      to.push(state);
      state = next;
      draw();
      announce(body, words);
    }

    function encode() {
      state.codes = painter.encode(state.image);
      decode();
    }

    function decode() {
      state.rebuilt = painter.decode(state.codes);
      draw();
    }

    /**
     * Begin with an image.
     * @param {Float32Array} image
     * @param {string} words
     */
    function beginWith(image, words) {
      keep();
      state.image = image.slice();
      encode();
      announce(body, words);
    }

    function nextDigit() {
      digit = (digit + 1) % painter.digits.length;
      const { image, label } = painter.digits[digit];
      beginWith(image, `A ${label} of the test images.`);
    }

    function dice() {
      beginWithCodes(state.codes.map(() => random.integer(painter.numEmbeddings)), "49 codes drawn at random.");
    }

    /**
     * Begin with a grid that no image was encoded into.
     * @param {Uint8Array} grid
     * @param {string} words
     */
    function beginWithCodes(grid, words) {
      keep();
      state.image = easel.blank();
      state.codes = grid;
      decode();
      announce(body, words);
    }

    /**
     * Do with a cell what the brush is for; without a brush, draw a code at random.
     * @param {number} cell
     */
    function press(cell) {
      const code = brush ? brush.use(cell, state.codes[cell], painter.empty) : random.integer(painter.numEmbeddings);
      state.codes[cell] = code;
      decode();
      announce(body, codes.name(cell));
    }

    // ---- Links and saving

    /** Show the grid that the address holds, if it holds one. */
    function follow() {
      const grid = whole && gridFrom(location.hash, painter.numEmbeddings);
      if (!grid) return;
      beginWithCodes(grid, "The grid of the link.");
      place.scrollIntoView();
    }

    function copyLink() {
      history.replaceState(null, "", fragmentOf(state.codes));
      const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
      copied.then(
        () => announceSeen("The link is copied, and the address of this page holds the grid, too."),
        () => announceSeen("The address of this page now holds the grid."),
      );
    }

    function save() {
      const canvas = make("canvas", { width: SCALE * easel.PIXELS, height: SCALE * easel.PIXELS });
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(result.canvas, 0, 0, canvas.width, canvas.height);
      make("a", { href: canvas.toDataURL("image/png"), download: "painted-with-codes.png" }).click();
      announceSeen("Saved as painted-with-codes.png.");
    }

    /**
     * Say something to those who see the lab, too, until the next thing happens.
     * @param {string} words
     */
    function announceSeen(words) {
      line.replaceChildren(words);
      announce(body, words);
    }

    // ---- Pointer and keys

    easel.listenForStrokes(drawing, {
      begin: keep,
      line: (/** @type {number[]} */ from, /** @type {number[]} */ to) => {
        easel.stroke(state.image, from, to);
        easel.show(drawing.canvas, state.image);
        act(encode);
      },
      say: (/** @type {string} */ words) => announce(body, words),
    });
    body.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      if (event.shiftKey) redo.click();
      else undo.click();
    });
    addEventListener("hashchange", () => painter && follow());
    draw();
    look(here);
    if (whole && LINK.test(location.hash)) act(() => {});
  }

  vqlabs.lab("paint", (/** @type {HTMLElement} */ body) => fill(body, true));
  vqlabs.lab("strip", (/** @type {HTMLElement} */ body) => fill(body, false));
})();
