// @ts-check
// A drawing with coordinates: the plane of a codebook, or a curve over an axis, with things in it that can be moved by
// pointer, finger and keyboard. It is an SVG, so its colours are those of labs.css, light and dark.
"use strict";

(() => {
  const { svg } = vqlabs;
  const REACH = 24; // pixels on the screen within which a handle is taken hold of

  /**
   * @typedef {object} Handle
   * @property {SVGGElement} element
   * @property {(place: number[]) => void} place Draw it at [x, y].
   * @property {() => void} rename Say anew what it is called, and where it is.
   * @property {() => void} remove
   */

  /**
   * Make a drawing.
   *
   * @param {object} options
   * @param {string} options.label What it shows, for those who hear the page.
   * @param {number[]} options.x The first and the last value from left to right.
   * @param {number[]} options.y From the bottom to the top.
   * @param {number} [options.width] In units of the drawing, about pixels.
   * @param {number} [options.height]
   * @param {{x?: number[], y?: number[]}} [options.ticks] Values that are marked at the axes.
   * @param {(value: number) => string} [options.sayY] How those of y are written.
   * @param {{x?: string, y?: string}} [options.names] Of the axes.
   * @param {boolean} [options.image] Whether nothing in it can be moved.
   */
  function plane({ label, x, y, width = 400, height = 400, ticks = {}, sayY = String, names = {}, image = false }) {
    const left = ticks.y ? 38 : names.y ? 20 : 1;
    const top = names.y ? (ticks.y ? 30 : 22) : 1;
    const bottom = height - (ticks.x ? 22 : 1) - (names.x ? 18 : 0);
    const right = width - (ticks.x ? 8 : 1);
    const clip = `lab-clip-${++plane.made}`;
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    const above = svg("g");
    const box = `0 0 ${width} ${height}`;
    const role = image ? "img" : "group";
    /** @type {SVGSVGElement} */
    const element = svg("svg", { viewBox: box, class: "lab-plane", role, "aria-label": label });
    const frame = { x: left, y: top, width: right - left, height: bottom - top };
    element.append(
      svg("clipPath", { id: clip }, svg("rect", frame)),
      svg("rect", { class: "lab-frame", ...frame }),
      inside,
      above,
    );

    const toX = (/** @type {number} */ value) => left + ((value - x[0]) / (x[1] - x[0])) * (right - left);
    const toY = (/** @type {number} */ value) => bottom - ((value - y[0]) / (y[1] - y[0])) * (bottom - top);
    const short = (/** @type {number} */ value) => Math.round(value * 10) / 10;
    const within = (/** @type {number} */ value, /** @type {number[]} */ range) =>
      Math.min(Math.max(value, range[0]), range[1]);

    /** Where a place [x, y] lies in the drawing. @param {number[]} place */
    const at = (place) => [short(toX(place[0])), short(toY(place[1]))];

    /** The path through places, for the attribute d. @param {number[][]} places */
    const path = (places) => places.map((place, i) => `${i ? "L" : "M"}${at(place)}`).join("");

    /** Paths from each place to its partner. @param {number[][]} from @param {number[][]} to */
    const sticks = (from, to) => from.map((place, i) => `M${at(place)}L${at(to[i])}`).join("");

    /** A dot at each place: a line of no length, which round ends make a dot. @param {number[][]} places */
    const dots = (places) => places.map((place) => `M${at(place)}h0`).join("");

    /**
     * An arrow with a head, as long as the step; "" for one too short to see.
     * @param {number[]} from
     * @param {number[]} step
     * @param {number} [head] The length of the head, in units of the drawing.
     */
    function arrow(from, step, head = 9) {
      const [[x1, y1], [x2, y2]] = [at(from), at([from[0] + step[0], from[1] + step[1]])];
      const size = Math.hypot(x2 - x1, y2 - y1);
      if (size < 1) return "";
      const [ux, uy] = [(x2 - x1) / size, (y2 - y1) / size];
      const long = Math.min(head, size);
      const side = (/** @type {number} */ way) =>
        `${short(x2 - long * (ux + way * 0.5 * uy))},${short(y2 - long * (uy - way * 0.5 * ux))}`;
      return `M${x1},${y1}L${x2},${y2}M${side(1)}L${x2},${y2}L${side(-1)}`;
    }

    /**
     * Add an SVG element to the drawing, cut off at its frame.
     * @param {string} tag
     * @param {Record<string, any>} [attributes]
     * @param {...(Node | string)} children
     */
    function add(tag, attributes = {}, ...children) {
      const added = svg(tag, attributes, ...children);
      inside.append(added);
      return added;
    }

    /**
     * Write words at a place.
     * @param {number[]} place
     * @param {string} words
     * @param {Record<string, any>} [attributes]
     */
    function write(place, words, attributes = {}) {
      const [px, py] = at(place);
      const text = svg("text", { x: px, y: py, class: "lab-text", ...attributes }, words);
      above.append(text);
      return text;
    }

    for (const value of ticks.x ?? []) {
      above.append(svg("path", { class: "lab-tickmark", d: `M${short(toX(value))},${bottom}v4` }));
      write([value, y[0]], minus(String(value)), { dy: 18, "text-anchor": "middle" });
    }
    for (const value of ticks.y ?? []) {
      above.append(svg("path", { class: "lab-tickmark", d: `M${left},${short(toY(value))}h-4` }));
      write([x[0], value], minus(sayY(value)), { dx: -7, dy: 5, "text-anchor": "end" });
    }
    if (names.x) {
      const place = { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" };
      above.append(svg("text", { class: "lab-text", ...place }, names.x));
    }
    if (names.y) above.append(svg("text", { x: 1, y: 14, class: "lab-text" }, names.y));

    // ---------------------------------------------------------------- Handles

    /** @type {Map<Element, {here: number[], carry: (place: number[]) => void, drop: () => void}>} */
    const handles = new Map();

    /**
     * Add something that can be moved: by pointer or finger, or, when it has the focus, by arrow keys.
     *
     * @param {object} options
     * @param {string} options.kind Its CSS class.
     * @param {Node[]} options.shape SVG elements around the point (0, 0).
     * @param {number[]} options.start
     * @param {() => string} options.name What it is called.
     * @param {(place: number[]) => string} [options.say] What is said of its place.
     * @param {(place: number[]) => void} options.move Follows each change of its place.
     * @param {() => void} [options.drop] Follows the end of a change: the pointer was lifted, or a key pressed.
     * @param {(event: KeyboardEvent) => void} [options.key] Is told of other keys.
     * @param {"x" | "both"} [options.way] Where it can go.
     * @param {number} [options.step] How far an arrow key takes it; with Shift, five times as far.
     * @returns {Handle}
     */
    function handle(options) {
      const { kind, shape, start, name, move, drop = () => {}, key = () => {}, way = "both", step = 0.1 } = options;
      const say = options.say ?? ((place) => `at ${signed(place[0])}, ${signed(place[1])}`);
      const grip = svg("circle", { class: "lab-grip", r: REACH });
      const group = svg("g", { class: `lab-handle ${kind}`, role: "slider", tabindex: 0 }, grip, ...shape);
      const own = { here: start, carry, drop };
      /** @param {number[]} to */
      function place(to) {
        own.here = to;
        group.setAttribute("transform", `translate(${at(to)})`);
      }
      function rename() {
        group.setAttribute("aria-label", name());
        group.setAttribute("aria-valuemin", x[0]);
        group.setAttribute("aria-valuemax", x[1]);
        group.setAttribute("aria-valuenow", String(Math.round(own.here[0] * 100) / 100));
        group.setAttribute("aria-valuetext", say(own.here));
      }
      /** @param {number[]} to */
      function carry(to) {
        const next = [within(to[0], x), way === "x" ? own.here[1] : within(to[1], y)];
        place(next);
        move(next);
        rename();
      }
      group.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
        const far = step * (event.shiftKey ? 5 : 1);
        /** @type {Record<string, number[]>} */
        const ways = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
        if (way === "x") [ways.ArrowUp, ways.ArrowDown] = [ways.ArrowRight, ways.ArrowLeft];
        const by = ways[event.key];
        if (!by) return key(event);
        event.preventDefault();
        // A whole number of hundredths, so that as many steps back lead back.
        carry(own.here.map((value, d) => Math.round((value + by[d]) * 100) / 100));
        drop();
      });
      handles.set(group, own);
      above.append(group);
      place(start);
      rename();
      const remove = () => {
        handles.delete(group);
        group.remove();
      };
      return { element: group, place, rename, remove };
    }

    /** Where a pointer is, in the coordinates of the drawing. @param {PointerEvent} event */
    function placeOf(event) {
      const matrix = /** @type {DOMMatrix} */ (element.getScreenCTM()).inverse();
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
      return [
        x[0] + ((point.x - left) / (right - left)) * (x[1] - x[0]),
        y[0] + ((bottom - point.y) / (bottom - top)) * (y[1] - y[0]),
      ];
    }

    /** @type {{own: {here: number[], carry: (place: number[]) => void, drop: () => void}, offset: number[]} | null} */
    let held = null;
    element.addEventListener("pointerdown", (event) => {
      if (event.button || !(/** @type {Element} */ (event.target).closest(".lab-handle"))) return;
      event.preventDefault();
      const place = placeOf(event);
      const [px, py] = at(place);
      // Where handles lie close together, the nearest is meant, not the one that was drawn last.
      const distance = (/** @type {number[]} */ here) => {
        const [hx, hy] = at(here);
        return Math.hypot(hx - px, hy - py);
      };
      const [group, own] = [...handles].reduce((one, other) =>
        distance(other[1].here) < distance(one[1].here) ? other : one
      );
      held = { own, offset: [own.here[0] - place[0], own.here[1] - place[1]] };
      element.setPointerCapture(event.pointerId);
      /** @type {SVGElement} */ (group).focus({ preventScroll: true });
    });
    element.addEventListener("pointermove", (event) => {
      if (!held) return;
      const place = placeOf(event);
      held.own.carry([place[0] + held.offset[0], place[1] + held.offset[1]]);
    });
    const release = () => {
      if (held) held.own.drop();
      held = null;
    };
    element.addEventListener("pointerup", release);
    element.addEventListener("pointercancel", release);

    return { element, at, path, sticks, dots, arrow, add, write, handle };
  }
  plane.made = 0;

  /** With a true minus sign. @param {string} text */
  function minus(text) {
    return text.replace("-", "−");
  }

  /** A number with two digits and a true minus sign. @param {number} value @param {number} [digits] */
  function signed(value, digits = 2) {
    const text = value.toFixed(digits);
    return Number(text) === 0 ? (0).toFixed(digits) : minus(text);
  }

  /**
   * Numbers with their names, which change while the lab is used.
   * @param {Record<string, string>} names By a short key.
   * @returns {{element: HTMLElement, show: (values: Record<string, string>) => void}}
   */
  function numbers(names) {
    const { make } = vqlabs;
    const element = make("dl", { class: "lab-numbers" });
    /** @type {Record<string, HTMLElement>} */
    const places = {};
    for (const [key, words] of Object.entries(names)) {
      places[key] = make("dd", { "data-number": key });
      element.append(make("div", {}, make("dt", {}, words), places[key]));
    }
    const show = (/** @type {Record<string, string>} */ values) => {
      for (const [key, value] of Object.entries(values)) {
        if (places[key].textContent !== value) places[key].textContent = value;
      }
    };
    return { element, show };
  }

  /**
   * Call a function again and again, as often as the screen is drawn, until it returns true. Where the reader asked for
   * little motion, all calls come at once.
   * @param {() => boolean} once
   * @param {() => void} [end] Follows the last call, and a stop.
   * @param {number} [most] Calls, where they come at once.
   */
  function run(once, end = () => {}, most = 2000) {
    let going = true;
    const stop = () => {
      if (going) end();
      going = false;
    };
    if (vqlabs.still()) {
      for (let i = 0; i < most && !once(); i++);
      stop();
      return { stop };
    }
    const frame = () => {
      if (!going) return;
      if (once()) stop();
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    return { stop };
  }

  /**
   * Make a function that calls another one when it has not been called for a while.
   * @param {() => void} act
   * @param {number} [ms]
   */
  function later(act, ms = 500) {
    /** @type {any} */
    let waiting = 0;
    return () => {
      clearTimeout(waiting);
      waiting = setTimeout(act, ms);
    };
  }

  Object.assign(vqlabs, { plane, numbers, run, later, signed });
})();
