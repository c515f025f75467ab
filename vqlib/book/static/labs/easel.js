// @ts-check
// What labs with images share: canvases, strokes, the grid of codes with what each of them paints, the trained model.
"use strict";

(() => {
  const SIDE = 7; // of the grid of codes
  const PIXELS = 28; // of the image
  const JUMP = 4; // pixels from one code to the next
  const SEEN = 7; // pixels that one code sees, equation 4.1 of the book
  const PAINTED = 9; // pixels that one code paints, equation 4.2
  const PEN = 1.1; // pixels, half of a stroke's width

  const { make } = vqlabs;

  // ---------------------------------------------------------------- Images

  /**
   * Return pixels in [-0.5, 0.5] from bytes in base64.
   * @param {string} text
   */
  function imagesFrom(text) {
    return Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255 - 0.5);
  }

  /** Return an image without ink. */
  function blank() {
    return new Float32Array(PIXELS ** 2).fill(-0.5);
  }

  /**
   * Put pixels on a canvas of their size.
   * @param {HTMLCanvasElement} canvas
   * @param {ArrayLike<number>} pixels In [-0.5, 0.5]; what is beyond is cut off.
   */
  function show(canvas, pixels) {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const shown = context.createImageData(canvas.width, canvas.height);
    for (let n = 0; n < pixels.length; n++) {
      shown.data.fill(255 * (pixels[n] + 0.5), 4 * n, 4 * n + 3);
      shown.data[4 * n + 3] = 255;
    }
    context.putImageData(shown, 0, 0);
  }

  /**
   * Draw a stroke into an image: ink where a pixel's centre is nearer to the line than the pen is wide.
   * @param {Float32Array} image
   * @param {number[]} from Column and row, in pixels.
   * @param {number[]} to
   */
  function stroke(image, [x0, y0], [x1, y1]) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length2 = dx ** 2 + dy ** 2;
    for (let place = 0; place < image.length; place++) {
      const x = place % PIXELS + 0.5 - x0;
      const y = Math.floor(place / PIXELS) + 0.5 - y0;
      const t = length2 ? Math.min(Math.max((x * dx + y * dy) / length2, 0), 1) : 0; // of the line's nearest point
      const distance = Math.hypot(x - t * dx, y - t * dy);
      const ink = Math.min(Math.max(PEN + 0.5 - distance, 0), 1) - 0.5;
      image[place] = Math.max(image[place], ink);
    }
  }

  /**
   * Return the mean squared error between what a decoder made and an image.
   * @param {ArrayLike<number>} decoded
   * @param {ArrayLike<number>} image
   */
  function meanSquaredError(decoded, image) {
    let sum = 0;
    for (let n = 0; n < image.length; n++) sum += (decoded[n] - image[n]) ** 2;
    return sum / image.length;
  }

  // ---------------------------------------------------------------- Parts

  /**
   * Make a square with a canvas, and a frame in it around the pixels that belong to a code.
   * @param {string} kind
   * @param {string} caption
   * @param {Record<string, any>} attributes Of the canvas.
   */
  function makeSquare(kind, caption, attributes) {
    const canvas = make("canvas", { width: PIXELS, height: PIXELS, ...attributes });
    const frame = make("div", { class: "easel-frame", hidden: true });
    const square = make("div", { class: "easel-square" }, canvas, frame);
    const element = make("div", { class: `easel-${kind}` }, make("p", { class: "easel-caption" }, caption), square);

    /**
     * Outline the pixels of a place.
     * @param {number} place
     * @param {number} size SEEN or PAINTED.
     */
    function outline(place, size) {
      const before = (size - SEEN) / 2; // a code paints one pixel more than it sees, on each side
      const [top, left] = [Math.floor(place / SIDE), place % SIDE].map((cell) => cell * JUMP - before);
      outlineAt(top, left, size);
    }

    /**
     * Outline a square of pixels, as far as they lie in the image.
     * @param {number} top
     * @param {number} left
     * @param {number} size
     */
    function outlineAt(top, left, size) {
      const edges = [top, left, top + size, left + size].map((edge) => Math.min(Math.max(edge, 0), PIXELS));
      const percent = (/** @type {number} */ pixels) => `${100 * pixels / PIXELS}%`;
      frame.style.top = percent(edges[0]);
      frame.style.left = percent(edges[1]);
      frame.style.height = percent(edges[2] - edges[0]);
      frame.style.width = percent(edges[3] - edges[1]);
      frame.hidden = false;
    }
    const clear = () => {
      frame.hidden = true;
    };
    return { element, square, canvas, outline, outlineAt, clear };
  }

  /**
   * Make the grid of codes. Each cell shows its code's number and, once that is known, what the code paints.
   * @param {{label: string, caption: string, side?: number, codes: () => ArrayLike<number>, patches: Float32Array[],
   *   begin: () => void, press: (place: number) => void, look: (place: number) => void,
   *   say?: (place: number) => string}} options
   *   `begin` comes before the first cell of a press; `press` for it, and for each further cell that the pointer is
   *   drawn over; `look` follows pointer and focus; `say` gives the words for what a cell holds.
   */
  function makeCodes(
    { label, caption, side = SIDE, codes, patches, begin, press, look, say = (place) => `code ${codes()[place]}` },
  ) {
    let byPointer = false; // has the pointer done already what the click behind it would do?
    let pressing = false;
    let last = -1;
    const name = (/** @type {number} */ place) => `${placeName(place, side)}: ${say(place)}`;
    const grid = vqlabs.grid({
      label,
      count: side ** 2,
      columns: side,
      name,
      enter: look,
      press: (/** @type {number} */ place) => {
        if (byPointer) return;
        begin();
        press(place);
      },
    });
    const tiles = grid.cells.map(makeTile);
    const element = make("div", { class: "easel-codes" }, make("p", { class: "easel-caption" }, caption), grid.element);

    /** @param {PointerEvent} event */
    function placeOf(event) {
      const found = document.elementFromPoint(event.clientX, event.clientY)?.closest("[role=gridcell]");
      return grid.cells.indexOf(found);
    }
    grid.element.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      last = placeOf(event);
      if (event.button || last < 0) return;
      byPointer = pressing = true;
      grid.element.setPointerCapture(event.pointerId);
      grid.focus(last);
      begin();
      press(last);
    });
    grid.element.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const place = placeOf(event);
      if (place < 0 || place === last) return;
      last = place;
      look(place);
      if (pressing) press(place);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      grid.element.addEventListener(end, () => {
        pressing = false;
        setTimeout(() => byPointer = false);
      });
    }

    /** Show the codes as they are now. */
    function draw() {
      for (const [place, tile] of tiles.entries()) {
        if (tile.draw(codes()[place], patches)) grid.rename(place);
      }
    }
    return { element, cells: grid.cells, draw, name, rename: grid.rename };
  }

  /**
   * Put into a cell the middle of what a code paints, and its number.
   * @param {HTMLElement} cell
   */
  function makeTile(cell) {
    const canvas = make("canvas", { width: SEEN, height: SEEN, hidden: true });
    const number = make("span", { class: "easel-number" });
    cell.append(canvas, number);
    let shown = NaN;

    /**
     * Show a code, or none for a negative number; return whether it is another than before.
     * @param {number} code
     * @param {Float32Array[]} patches
     */
    function draw(code, patches) {
      const changes = shown !== code;
      if (patches[code] && (changes || canvas.hidden)) show(canvas, patches[code]);
      canvas.hidden = !patches[code];
      if (changes) number.textContent = code < 0 ? "" : String(code);
      shown = code;
      return changes;
    }
    return { draw };
  }

  /** @param {number} place @param {number} side */
  function placeName(place, side) {
    return `Row ${Math.floor(place / side) + 1}, column ${place % side + 1}`;
  }

  /**
   * Let a pointer draw on a square, or arrows and the space bar.
   * @param {{canvas: HTMLCanvasElement, square: HTMLElement}} where
   * @param {{begin: () => void, line: (from: number[], to: number[]) => void, end?: () => void,
   *   say: (words: string) => void}} pen
   *   `begin` comes before the first line of a stroke, `end` when the pen is lifted. Points are column and row, in
   *   pixels of the image.
   */
  function listenForStrokes({ canvas, square }, { begin, line, end = () => {}, say }) {
    const nib = make("div", { class: "easel-nib", hidden: true });
    square.append(nib);
    let [x, y] = [PIXELS / 2, PIXELS / 2];
    let down = false;

    /** @param {number[]} to */
    function move(to) {
      const from = [x, y];
      [x, y] = to.map((at) => Math.min(Math.max(at, 0), PIXELS));
      if (down) line(from, [x, y]);
      nib.style.left = `${100 * x / PIXELS}%`;
      nib.style.top = `${100 * y / PIXELS}%`;
    }
    function lower() {
      down = true;
      begin();
      line([x, y], [x, y]);
    }
    function lift() {
      if (down) end();
      down = false;
    }

    /** @param {PointerEvent} event */
    function pointOf(event) {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top].map((at) => at * PIXELS / box.width);
    }
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      nib.hidden = true;
      lift();
      move(pointOf(event));
      lower();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (down && event.buttons) move(pointOf(event));
    });
    for (const lifting of ["pointerup", "pointercancel", "blur"]) canvas.addEventListener(lifting, lift);

    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const way = ways[event.key];
      if (event.key === " ") {
        if (down) lift();
        else lower();
      } else if (way) move([x + way[0], y + way[1]]);
      else return;
      event.preventDefault();
      move([x, y]);
      nib.hidden = false;
      nib.classList.toggle("down", down);
      say(`Pen ${down ? "down" : "up"}, row ${Math.ceil(y)}, column ${Math.ceil(x)}`);
    });
    canvas.addEventListener("blur", () => nib.hidden = true);
  }

  // ---------------------------------------------------------------- The model

  /**
   * Return the test images that digits.js holds.
   * @param {{labels: number[], pixels: string}} held
   * @returns {{label: number, image: Float32Array}[]}
   */
  function digitsOf(held) {
    const pixels = imagesFrom(held.pixels);
    const size = PIXELS ** 2;
    return held.labels.map((label, n) => ({ label, image: pixels.subarray(n * size, (n + 1) * size) }));
  }

  /**
   * Bring a trained VQVAE and the test images. Fails where a file is missing or broken.
   * @param {string} name Of the VQVAE's weights.
   */
  async function wake(name = "weights/mnist-vqvae") {
    const [packed, held] = await Promise.all([vqlabs.load(name), vqlabs.load("digits")]);
    const model = vqlabs.arithmetic.makeVQVAE(vqlabs.arithmetic.unpack(packed));
    const digits = digitsOf(held);
    /** @param {Float32Array} values @returns {Uint8Array} */
    const encode = (values) => model.encode({ height: PIXELS, width: PIXELS, depth: 1, values });
    /** @param {ArrayLike<number>} codes @returns {Float32Array} */
    const decode = (codes) => model.decode(codes).values;
    return { encode, decode, model, digits, numEmbeddings: model.numEmbeddings, empty: encode(blank()) };
  }

  /**
   * Find what each code paints alone on an empty image, the middle 7 x 7 of the 9 x 9 pixels: further out there is little.
   * A few codes at a time, so that the page goes on answering.
   * @param {any} model
   * @param {number} empty The code of the empty patch.
   * @param {Float32Array[]} patches To fill.
   */
  async function findPatches(model, empty, patches) {
    const around = 5; // codes each way that reach the middle one's pixels
    const first = JUMP * (around - 1) / 2;
    for (let code = 0; code < model.numEmbeddings; code++) {
      const codes = new Uint8Array(around ** 2).fill(empty);
      codes[(around ** 2 - 1) / 2] = code;
      const { values, width } = model.decode(codes, around);
      const patch = new Float32Array(SEEN ** 2);
      for (let row = 0; row < SEEN; row++) {
        const start = (first + row) * width + first;
        patch.set(values.subarray(start, start + SEEN), row * SEEN);
      }
      patches.push(patch);
      if (code % 8 === 7) await new Promise((resolve) => setTimeout(resolve));
    }
  }

  vqlabs.easel = {
    blank,
    digitsOf,
    findPatches,
    imagesFrom,
    listenForStrokes,
    makeCodes,
    makeSquare,
    makeTile,
    meanSquaredError,
    show,
    stroke,
    wake,
    JUMP,
    PAINTED,
    PIXELS,
    SEEN,
    SIDE,
  };
})();
