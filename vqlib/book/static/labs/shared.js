// @ts-check
// What all labs share: mounting, parts of a page, a grid for keyboard and pointer, random numbers with a seed, weights.
//
// A lab is a function that fills an element: vqlabs.lab("cells", (body) => {...}). It is called once for each
// <div class="lab" data-lab="cells"> of the page, with an empty element within that. These are classic scripts, without
// fetch and modules, so that a book opened from a disk has all its labs.
"use strict";

// deno-lint-ignore no-var no-unused-vars -- a name for all scripts of the page
/** @type {any} */ var vqlabs = (() => {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const folder = script.src.replace(/[^/]*$/, ""); // of this file, with its last slash
  const SVG = "http://www.w3.org/2000/svg";

  /** @type {Record<string, (body: HTMLElement) => void>} */
  const labs = {};
  /** @type {Record<string, any>} What other scripts of this folder bring, by their names. */
  const loaded = {};
  /** @type {Record<string, Promise<any>>} */
  const asked = {};

  // ---------------------------------------------------------------- Mounting

  /**
   * Register a lab.
   * @param {string} name As the page's data-lab says it.
   * @param {(body: HTMLElement) => void} fill
   */
  function lab(name, fill) {
    labs[name] = fill;
    if (document.readyState !== "loading") mount();
  }

  /** Fill every place on the page whose lab is here, that is not filled yet, and that lies in no closed fold. */
  function mount() {
    /** @type {NodeListOf<HTMLElement>} */
    const places = document.querySelectorAll(".lab[data-lab]:not([data-runs])");
    for (const place of places) {
      const fill = labs[place.dataset.lab ?? ""];
      if (!fill || place.closest("details:not([open])")) continue;
      const body = make("div", { class: "lab-body" });
      place.insertBefore(body, place.querySelector(".lab-source"));
      place.dataset.runs = "yes"; // the style sheet hides what stands there for pages without scripts
      try {
        fill(body);
      } catch (error) {
        console.error(error);
        fail(body, "This lab does not run in this browser.");
      }
    }
  }

  /**
   * Empty a lab and say why. The figure for pages without scripts comes back.
   * @param {HTMLElement} body
   * @param {string} reason One sentence.
   */
  function fail(body, reason) {
    const place = /** @type {HTMLElement} */ (body.parentElement);
    if (place.dataset.runs === "no") return; // it has been said
    body.replaceChildren();
    place.dataset.runs = "no";
    place.querySelector(".lab-reason")?.replaceChildren(make("span", { role: "alert" }, reason));
  }

  // ---------------------------------------------------------------- Parts of a page

  /**
   * Make an HTML element. An attribute `onclick`, or another that begins with "on", is a listener; one that is false,
   * null or undefined is left out.
   * @param {string} tag
   * @param {Record<string, any>} [attributes]
   * @param {...(Node | string)} children
   * @returns {any}
   */
  function make(tag, attributes = {}, ...children) {
    return furnish(document.createElement(tag), attributes, children);
  }

  /**
   * Make an SVG element, see `make`.
   * @param {string} tag
   * @param {Record<string, any>} [attributes]
   * @param {...(Node | string)} children
   * @returns {any}
   */
  function svg(tag, attributes = {}, ...children) {
    return furnish(document.createElementNS(SVG, tag), attributes, children);
  }

  /**
   * @param {Element} element
   * @param {Record<string, any>} attributes
   * @param {(Node | string)[]} children
   */
  function furnish(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, String(value));
    }
    element.append(...children);
    return element;
  }

  /**
   * Make a button.
   * @param {string} words
   * @param {(event: Event) => void} press
   * @param {Record<string, any>} [attributes]
   * @returns {HTMLButtonElement}
   */
  function button(words, press, attributes = {}) {
    return make("button", { type: "button", class: "lab-button", onclick: press, ...attributes }, words);
  }

  /**
   * Make a slider with its label and its value in words.
   * @param {{label: string, min: number, max: number, step: number, value: number,
   *   say?: (value: number) => string, change: (value: number) => void}} options
   * @returns {{element: HTMLElement, input: HTMLInputElement, set: (value: number) => void}}
   */
  function slider({ label, min, max, step, value, say = String, change }) {
    const input = make("input", { type: "range", min, max, step, value });
    const output = make("output", {}, say(value));
    const show = () => {
      output.textContent = say(input.valueAsNumber);
      input.setAttribute("aria-valuetext", say(input.valueAsNumber));
    };
    input.addEventListener("input", () => {
      show();
      change(input.valueAsNumber);
    });
    show();
    const set = (/** @type {number} */ to) => {
      input.value = String(to);
      show();
    };
    return { element: make("label", { class: "lab-slider" }, make("span", {}, label), input, output), input, set };
  }

  /**
   * Make a list of choices, of which one is taken.
   * @param {{label: string, options: [string, string][], value: string, change: (value: string) => void}} options
   *   Of each option its value and its words.
   * @returns {{element: HTMLElement, select: HTMLSelectElement}}
   */
  function choice({ label, options, value, change }) {
    const select = make("select", { onchange: () => change(select.value) });
    for (const [name, words] of options) {
      select.append(make("option", { value: name, selected: name === value }, words));
    }
    return { element: make("label", { class: "lab-choice" }, make("span", {}, label), select), select };
  }

  /**
   * Make a box to tick.
   * @param {{label: string, value: boolean, change: (value: boolean) => void}} options
   * @returns {{element: HTMLElement, input: HTMLInputElement}}
   */
  function tick({ label, value, change }) {
    const input = make("input", { type: "checkbox", checked: value, onchange: () => change(input.checked) });
    return { element: make("label", { class: "lab-tick" }, input, make("span", {}, label)), input };
  }

  /**
   * Say something to those who hear the page. A lab says what has come of a press, not each pixel of a drag.
   * @param {HTMLElement} body Of the lab.
   * @param {string} words
   */
  function announce(body, words) {
    let region = body.querySelector(":scope > .lab-said");
    if (!region) {
      region = /** @type {HTMLElement} */ (make("p", { class: "lab-said", role: "status" }));
      body.append(region);
    }
    region.textContent = words;
  }

  /**
   * Make a grid of cells that arrows move in, with one stop for Tab.
   * @param {{label: string, count: number, columns: number, name: (place: number) => string,
   *   press: (place: number, event: Event) => void, enter?: (place: number) => void}} options
   *   `name` is what a cell is called; `press` follows a click, Enter or the space bar; `enter` follows the focus.
   * @returns {{element: HTMLElement, cells: HTMLElement[], rename: (place: number) => void,
   *   focus: (place: number) => void}}
   */
  function grid({ label, count, columns, name, press, enter = () => {} }) {
    /** @type {HTMLElement[]} */
    const cells = [];
    const element = make("div", { class: "lab-grid", role: "grid", "aria-label": label });
    element.style.setProperty("--columns", String(columns));
    let here = 0;
    const move = (/** @type {number} */ place) => {
      cells[here].tabIndex = -1;
      here = place;
      cells[here].tabIndex = 0;
    };
    const focus = (/** @type {number} */ place) => {
      move(place);
      cells[place].focus();
    };
    /** @param {KeyboardEvent} event */
    const keyed = (event) => {
      const column = here % columns;
      /** @type {Record<string, number>} */
      const ways = {
        ArrowLeft: column > 0 ? here - 1 : here,
        ArrowRight: column < columns - 1 ? here + 1 : here,
        ArrowUp: here - columns,
        ArrowDown: here + columns,
        Home: event.ctrlKey ? 0 : here - column,
        End: event.ctrlKey ? count - 1 : Math.min(here - column + columns, count) - 1,
      };
      if (event.key in ways) {
        event.preventDefault();
        if (ways[event.key] in cells) focus(ways[event.key]);
      }
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        press(here, event);
      }
    };
    element.addEventListener("keydown", keyed);
    for (let start = 0; start < count; start += columns) {
      const line = make("div", { role: "row" });
      for (let place = start; place < Math.min(start + columns, count); place++) {
        const cell = make("div", { role: "gridcell", tabindex: place ? -1 : 0, "aria-label": name(place) });
        cell.addEventListener("focus", () => {
          if (here !== place) move(place);
          enter(place);
        });
        cells.push(cell);
        line.append(cell);
      }
      element.append(line);
    }
    element.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const place = cells.indexOf(
        /** @type {HTMLElement} */ (/** @type {Element} */ (event.target).closest("[role=gridcell]")),
      );
      if (place < 0) return;
      focus(place);
      press(place, event);
    });
    const rename = (/** @type {number} */ place) => cells[place].setAttribute("aria-label", name(place));
    return { element, cells, rename, focus };
  }

  // ---------------------------------------------------------------- Colours and motion

  /**
   * Return the value of a CSS variable of the page, such as "--lab-blue", as the page has it now, light or dark.
   * @param {string} name
   * @param {Element} [element]
   */
  function color(name, element = document.querySelector(".lab") ?? document.documentElement) {
    return getComputedStyle(element).getPropertyValue(name).trim();
  }

  /**
   * Call a function when the page goes from light to dark, or back.
   * @param {() => void} change
   */
  function onScheme(change) {
    new MutationObserver(change).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Whether the reader has asked for little motion. */
  function still() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  // ---------------------------------------------------------------- Random numbers

  /**
   * Make a generator of random numbers (mulberry32): the same seed gives the same numbers.
   * @param {number} seed
   */
  function random(seed) {
    let state = seed >>> 0;
    /** A number in [0, 1). */
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
    /** A whole number in 0..below - 1. @param {number} below */
    const integer = (below) => Math.floor(uniform() * below);
    /** A number of the normal distribution with mean 0 and standard deviation 1 (Box and Muller). */
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, integer, normal };
  }

  // ---------------------------------------------------------------- Weights

  /**
   * Bring what a script of this folder holds, once: vqlabs.loaded["weights/mnist-vqvae"] = {...}. In a notebook, the
   * page has it already.
   * @param {string} name Such as "weights/mnist-vqvae".
   * @returns {Promise<any>} Fails where the script is missing or broken.
   */
  function load(name) {
    if (name in loaded) return Promise.resolve(loaded[name]);
    asked[name] = asked[name] ?? new Promise((resolve, reject) => {
      const broken = () => reject(new Error(`${name}.js is missing or broken.`));
      const bring = make("script", { src: `${folder}${name}.js`, onerror: broken });
      bring.addEventListener("load", () => (name in loaded ? resolve(loaded[name]) : broken()));
      document.head.append(bring);
    });
    return asked[name];
  }

  /**
   * Let a lab bring its model when it is first touched, by pointer or by focus; where that fails, say why.
   * @param {HTMLElement} body Of the lab.
   * @param {() => boolean} isThere Whether the model that is wanted now is there.
   * @param {() => Promise<void>} bring Brings it. Fails where a file is missing or broken.
   * @returns {(action: () => void) => void} Does something that needs the model: at once, or when it has come.
   */
  function atTouch(body, isThere, bring) {
    /** @type {Promise<void> | null} While it is on its way. */
    let coming = null;
    const failed = () => fail(body, "The trained model did not come: a file of the book is missing or broken.");
    const act = (/** @type {() => void} */ action) => {
      if (isThere()) return action();
      coming = coming ?? bring().finally(() => coming = null);
      coming.then(() => act(action), failed);
    };
    for (const touch of ["pointerdown", "focusin"]) body.addEventListener(touch, () => act(() => {}));
    return act;
  }

  document.addEventListener("DOMContentLoaded", mount);
  document.addEventListener("toggle", mount, true); // a fold is opened; this event does not bubble
  return {
    announce,
    atTouch,
    button,
    choice,
    color,
    fail,
    folder,
    grid,
    lab,
    labs,
    load,
    loaded,
    make,
    mount,
    onScheme,
    random,
    slider,
    still,
    svg,
    tick,
  };
})();
