// @ts-check
// Lab "Slopes" (chapter 2): gradients that are borrowed, on the staircase of the loss and in the plane.
"use strict";

vqlabs.lab("slopes", (/** @type {HTMLElement} */ body) => {
  const { announce, button, choice, codebooks, make, numbers, plane, run, signed, slider, svg, tick } = vqlabs;
  const RATE = 0.05; // of descent, as in chapter 2
  const STEPS = 120; // of one run
  const LOOK_BACK = 60; // steps in which changes of code are counted
  const STILL = 1e-4; // what is nearer than that to its last place is at rest

  /** @typedef {{z: number[], codebook: number[][], target: number[], beta: number, moves: boolean, turns: boolean}} World */

  /** The codeword of z and the gradients that meet at the two. @param {World} world */
  function gradients({ z, codebook, target, beta, turns }) {
    const k = codebooks.nearest(z, codebook);
    const e = codebook[k];
    const atCodeword = codebooks.straightThroughGradient(e, target);
    const turned = codebooks.rotatedGradient(z, e, atCodeword);
    const commitment = codebooks.commitmentGradient(z, e, beta);
    const together = codebooks.plus(turns ? turned : atCodeword, commitment);
    return { k, e, atCodeword, turned, commitment, together, codeword: codebooks.codewordGradient(z, e) };
  }

  /** One step of descent for z, and for its codeword if the codebook moves. @param {World} world */
  function descend(world) {
    const { k, together, codeword } = gradients(world);
    const down = (/** @type {number[]} */ place, /** @type {number[]} */ gradient) =>
      codebooks.minus(place, codebooks.times(RATE, gradient));
    const codebook = world.moves ? world.codebook.map((e, j) => (j === k ? down(e, codeword) : e)) : world.codebook;
    return { z: down(world.z, together), codebook };
  }

  /** What can be set in both places. @param {World} world @param {() => void} draw */
  function controls(world, draw) {
    const beta = slider({
      label: "β",
      min: 0,
      max: 4,
      step: 0.05,
      value: world.beta,
      say: (/** @type {number} */ value) => value.toFixed(2),
      change: (/** @type {number} */ value) => {
        world.beta = value;
        draw();
      },
    });
    const moving = tick({
      label: "The codebook moves, too",
      value: world.moves,
      change: (/** @type {boolean} */ value) => {
        world.moves = value;
        draw();
      },
    });
    return { beta, moving };
  }

  /**
   * The steps of a world: one, many, and back.
   * @param {World} world
   * @param {() => void} draw
   * @param {() => number[]} origin Where z starts.
   * @param {() => number[][]} stairs Where the codebook starts.
   * @param {(z: number[]) => number[]} inside Keeps z in the drawing.
   */
  function walk(world, draw, origin, stairs, inside) {
    /** @type {{stop: () => void} | null} */
    let running = null;
    const past = {
      /** @type {number[][]} Where z was, the last place included. */
      z: [],
      /** @type {number[]} Its codes. */
      codes: [],
      /** @type {number[][][]} The codebooks. */
      codebooks: [],
      steps: 0,
      resting: false,
    };
    function remember() {
      past.z.push(world.z);
      past.codes.push(codebooks.nearest(world.z, world.codebook));
      past.codebooks.push(world.codebook);
    }
    /** Begin the path anew where z is now. */
    function forget() {
      stop();
      Object.assign(past, { z: [], codes: [], codebooks: [], steps: 0, resting: false });
      remember();
      draw();
    }
    function step() {
      const next = descend(world);
      next.z = inside(next.z);
      const far = codebooks.squaredDistance(next.z, world.z) +
        next.codebook.reduce((sum, e, k) => sum + codebooks.squaredDistance(e, world.codebook[k]), 0);
      past.resting = far < STILL ** 2;
      Object.assign(world, next);
      past.steps += 1;
      remember();
    }
    function stop() {
      running?.stop();
      running = null;
    }
    const changes = () => {
      const codes = past.codes.slice(-LOOK_BACK - 1);
      return codes.filter((code, i) => i && code !== codes[i - 1]).length;
    };
    function say() {
      const place = world.z.map((value) => signed(value)).join(", ");
      const changed = past.resting ? "at rest" : `${changes()} changes of code in the last ${LOOK_BACK} steps`;
      announce(body, `After ${past.steps} steps z is at ${place}: ${changed}.`);
    }
    const player = button("Run", () => {
      if (running) return stop();
      let left = STEPS;
      const still = vqlabs.still();
      player.textContent = "Pause";
      const started = run(
        () => {
          step();
          left -= 1;
          if (!still) draw();
          return left === 0;
        },
        () => {
          running = null;
          player.textContent = "Run";
          draw();
          say();
        },
      );
      running = player.textContent === "Pause" ? started : null; // all steps came at once
    });
    const once = button("Step", () => {
      stop();
      step();
      draw();
      say();
    });
    const back = button("Back", () => {
      world.z = origin();
      world.codebook = stairs();
      forget();
      say();
    });
    return { past, forget, changes, say, buttons: make("div", { class: "lab-row" }, once, player, back) };
  }

  /** What the run has come to, in words. @param {{past: {steps: number, resting: boolean}, changes: () => number}} path */
  function outcome({ past, changes }) {
    if (past.resting) return `${past.steps}, at rest`;
    return past.steps ? `${past.steps}, ${changes()} changes` : "0";
  }

  // ---------------------------------------------------------------- The staircase

  function staircase() {
    const [LEFT, RIGHT, HIGH] = [-2.6, 2.6, 4];
    const ARROW = 0.45; // length of an arrow for a slope of 1
    let spacing = 1;
    const stairs = () => {
      const half = Math.floor(2.3 / spacing + 1e-9);
      return Array.from({ length: 2 * half + 1 }, (_, i) => [(i - half) * spacing]);
    };
    /** @type {World} */
    const world = { z: [-1.4], codebook: stairs(), target: [0.4], beta: 0.25, moves: false, turns: false };
    const drawing = plane({
      label: "The loss over z: a staircase",
      x: [LEFT, RIGHT],
      y: [-0.9, HIGH],
      height: 330,
      ticks: { x: [-2, -1, 0, 1, 2], y: [0, 1, 2, 3, 4] },
      names: { x: "z", y: "loss" },
    });
    const smooth = drawing.add("path", { class: "lab-line lab-dotted" });
    const risers = drawing.add("path", { class: "lab-tickmark lab-dotted" });
    const treads = drawing.add("path", { class: "lab-line lab-thick tone-0" });
    const dots = drawing.add("path", { class: "lab-dots lab-big" });
    const tangent = drawing.add("path", { class: "lab-line lab-thick tone-1" });
    const aim = drawing.add("path", { class: "lab-tickmark lab-dashed" });
    const pushes = drawing.add("path", { class: "lab-arrow tone-1" });
    const holds = drawing.add("path", { class: "lab-arrow lab-dashed tone-3" });
    const follows = drawing.add("path", { class: "lab-arrow tone-2" });
    const rest = drawing.add("path", { class: "lab-here tone-3" });
    const loss = (/** @type {number} */ q) => (q - world.target[0]) ** 2;

    const target = drawing.handle({
      kind: "lab-mover",
      shape: [
        svg("path", { class: "lab-target", d: "M-8,9L0,-6L8,9Z" }),
        svg("text", { class: "lab-text lab-tag", x: 12, y: 8 }, "x"),
      ],
      start: [world.target[0], -0.45],
      way: "x",
      name: () => "The target x",
      say: (/** @type {number[]} */ place) => `at ${signed(place[0])}`,
      move: (/** @type {number[]} */ place) => {
        world.target = [place[0]];
        path.forget();
      },
      drop: () => say(),
    });
    const point = drawing.handle({
      kind: "lab-mover",
      shape: [
        svg("circle", { class: "lab-point", r: 8 }),
        svg("text", { class: "lab-text lab-tag", x: -4, y: -15 }, "z"),
      ],
      start: [world.z[0], 0],
      way: "x",
      name: () => "z, the encoder output",
      say: (/** @type {number[]} */ place) => `at ${signed(place[0])}`,
      move: (/** @type {number[]} */ place) => {
        world.z = [place[0]];
        path.forget();
      },
      drop: () => say(),
    });
    const values = numbers({
      z: "z → codeword",
      true: "True slope",
      borrowed: "Straight-through, 2(e − x)",
      commitment: "Commitment, 2β(z − e)",
      together: "The two together",
      average: "Averaged stairs",
      cancel: "They cancel at",
      outcome: "Steps, changes of code",
    });
    const chart = plane({
      label: "",
      image: true,
      x: [0, STEPS],
      y: [LEFT, RIGHT],
      width: 300,
      height: 170,
      ticks: { y: [-2, -1, 0, 1, 2] },
      names: { x: `the last ${STEPS} steps` },
    });
    const levels = chart.add("path", { class: "lab-line lab-way tone-2" });
    const way = chart.add("path", { class: "lab-line" });

    function say() {
      const { e, atCodeword, together } = gradients(world);
      announce(
        body,
        `The codeword of z is ${signed(e[0])}; straight-through slope ${signed(atCodeword[0])}, with commitment ` +
          `${signed(together[0])}.`,
      );
    }

    function draw() {
      const { k, e, atCodeword, commitment, together, codeword } = gradients(world);
      const z = world.z[0];
      const sorted = world.codebook.map(([value]) => value).sort((a, b) => a - b);
      const borders = sorted.slice(1).map((value, i) => (value + sorted[i]) / 2);
      const ends = [LEFT, ...borders, RIGHT];
      const fine = Array.from({ length: 105 }, (_, i) => LEFT + i * 0.05);
      smooth.setAttribute("d", drawing.path(fine.map((q) => [q, loss(q)])));
      treads.setAttribute(
        "d",
        sorted.map((q, i) => drawing.path([[ends[i], loss(q)], [ends[i + 1], loss(q)]])).join(""),
      );
      risers.setAttribute(
        "d",
        borders.map((q, i) => drawing.path([[q, loss(sorted[i])], [q, loss(sorted[i + 1])]])).join(""),
      );
      dots.setAttribute("d", drawing.dots(sorted.map((q) => [q, loss(q)])));
      const height = loss(e[0]);
      const slope = atCodeword[0];
      const half = 0.6 / Math.hypot(1, slope); // about the same length for every tangent
      tangent.setAttribute(
        "d",
        drawing.path([[e[0] - half, height - slope * half], [e[0] + half, height + slope * half]]),
      );
      aim.setAttribute("d", drawing.path([[world.target[0], -0.2], [world.target[0], HIGH]]));
      pushes.setAttribute("d", drawing.arrow([z, height + 0.22], [-ARROW * slope, 0]));
      holds.setAttribute("d", drawing.arrow([z, height - 0.22], [-ARROW * commitment[0], 0]));
      follows.setAttribute("d", world.moves ? drawing.arrow([e[0], height], [-ARROW * codeword[0], 0]) : "");
      point.place([z, Math.min(height, HIGH)]);
      point.rename();
      target.rename();

      const place = codebooks.restingPlace(e[0], world.target[0], world.beta);
      const i = sorted.indexOf(e[0]);
      const inside = world.beta > 0 && place > ends[i] && place < ends[i + 1];
      const [px, py] = drawing.at([place, height]);
      rest.setAttribute("d", inside && !world.moves ? `M${px - 9},${py}l9,-9l9,9l-9,9Z` : "");
      const average = codebooks.averageSlope(z, sorted, world.target[0]);
      values.show({
        z: `${signed(z)} → ${signed(e[0])}`,
        true: "0",
        borrowed: signed(slope),
        commitment: signed(commitment[0]),
        together: signed(together[0]),
        average: signed(average) + (average * slope < 0 ? ", other sign" : ""),
        cancel: world.moves
          ? "the target"
          : world.beta === 0
          ? "nowhere"
          : `${signed(place)}, ${inside ? "inside" : "outside"}`,
        outcome: outcome(path),
      });
      const shown = path.past.z.slice(-STEPS - 1).map(([value], step) => [step, value]);
      way.setAttribute("d", chart.path(shown));
      const books = path.past.codebooks.slice(-STEPS - 1);
      const one = (/** @type {number} */ j) =>
        chart.path(
          books.length > 1
            ? books.map((book, step) => [step, book[j][0]])
            : [[0, world.codebook[j][0]], [STEPS, world.codebook[j][0]]],
        );
      levels.setAttribute("d", world.codebook.map((_, j) => one(j)).join(""));
      chart.element.setAttribute(
        "aria-label",
        `The way of z: after ${path.past.steps} steps it is at ${signed(z)}, its codeword ${k} at ${signed(e[0])}.`,
      );
    }

    const inside = (/** @type {number[]} */ z) => [Math.min(Math.max(z[0], LEFT), RIGHT)];
    const path = walk(world, draw, () => [-1.4], stairs, inside);
    const { beta, moving } = controls(world, draw);
    const width = slider({
      label: "Spacing",
      min: 0.25,
      max: 1.5,
      step: 0.05,
      value: spacing,
      say: (/** @type {number} */ value) => value.toFixed(2),
      change: (/** @type {number} */ value) => {
        spacing = value;
        world.codebook = stairs();
        path.forget();
      },
    });
    const element = make(
      "div",
      { class: "lab-parts" },
      make(
        "div",
        { class: "lab-main" },
        drawing.element,
        make(
          "p",
          { class: "lab-caption" },
          "Arrows push z: straight-through (above) and commitment (below, dashed). Diamond: where they cancel.",
        ),
      ),
      values.element,
      make("div", { class: "lab-controls" }, path.buttons, beta.element, width.element, moving.element),
      make(
        "div",
        { class: "lab-charts" },
        make("p", { class: "lab-caption" }, "Thick: z. Thin: the codewords."),
        chart.element,
      ),
    );
    path.forget();
    return element;
  }

  // ---------------------------------------------------------------- The plane

  function turning() {
    const [WIDE, HIGH] = [3.2, 2.6];
    const BOX = [[-WIDE, -HIGH], [WIDE, -HIGH], [WIDE, HIGH], [-WIDE, HIGH]];
    const ARROW = 0.3; // length of an arrow for a gradient of length 1
    const NEAR = 0.5; // too near the origin, arrows of the field get too long
    const six = () => [[-1.6, 0.9], [0.2, 1.3], [1.7, 0.6], [-0.9, -1.1], [0.9, -0.8], [2.5, -1.9]]; // of chapter 2
    const first = () => [2.2, -0.4];
    /** @type {World} */
    const world = { z: first(), codebook: six(), target: [2.4, 2.1], beta: 0.25, moves: false, turns: false };
    let field = false;
    const drawing = plane({
      label: "A plane with cells, z, its codeword, and the target",
      x: [-WIDE, WIDE],
      y: [-HIGH, HIGH],
      height: 325,
    });
    const cells = drawing.add("g");
    const [ox, oy] = drawing.at([0, 0]);
    drawing.add("path", { class: "lab-axis", d: `M${ox - 6},${oy}h12M${ox},${oy - 6}v12` });
    drawing.write([0, 0], "0", { dx: 6, dy: 17 });
    const wind = drawing.add("path", { class: "lab-arrow lab-field" });
    const rays = drawing.add("path", { class: "lab-tickmark lab-dotted" });
    const way = drawing.add("path", { class: "lab-line lab-way" });
    const dots = drawing.add("path", { class: "lab-dots lab-big" });
    const asked = drawing.add("path", { class: "lab-arrow tone-1" });
    const borrowed = drawing.add("path", { class: "lab-arrow tone-1" });
    const turned = drawing.add("path", { class: "lab-arrow lab-heavy tone-2" });
    const holds = drawing.add("path", { class: "lab-arrow lab-dashed tone-3" });
    const letter = drawing.write([0, 0], "e", { class: "lab-text lab-tag" });

    const target = drawing.handle({
      kind: "lab-mover",
      shape: [
        svg("path", { class: "lab-target", d: "M-7,-7H7V7H-7Z" }),
        svg("text", { class: "lab-text lab-tag", x: 12, y: 6 }, "x"),
      ],
      start: world.target,
      name: () => "The target x",
      move: (/** @type {number[]} */ place) => {
        world.target = place;
        path.forget();
      },
      drop: () => say(),
    });
    const point = drawing.handle({
      kind: "lab-mover",
      shape: [
        svg("circle", { class: "lab-point", r: 8 }),
        svg("text", { class: "lab-text lab-tag", x: 12, y: 6 }, "z"),
      ],
      start: world.z,
      name: () => "z, the encoder output",
      move: (/** @type {number[]} */ place) => {
        world.z = place;
        path.forget();
      },
      drop: () => say(),
    });
    const values = numbers({
      asked: "Push at e",
      borrowed: "At z, straight-through",
      turned: "At z, rotation trick",
      angle: "Turned by",
      factor: "Scaled by |e| / |z|",
      commitment: "At z, commitment",
      outcome: "Steps, changes of code",
    });
    const pair = (/** @type {number[]} */ vector) => vector.map((value) => signed(value)).join(", ");
    const against = (/** @type {number[]} */ gradient) => codebooks.times(-1, gradient);
    const angleOf = (/** @type {number[]} */ vector) => (Math.atan2(vector[1], vector[0]) * 180) / Math.PI;

    /** The angle from e to z in degrees, by which the gradient is turned. @param {number[]} e */
    function turn(e) {
      const angle = angleOf(world.z) - angleOf(e);
      return ((angle + 540) % 360) - 180;
    }

    function say() {
      const { k, e, turned: push } = gradients(world);
      announce(
        body,
        `z has codeword ${k}. The rotation trick turns the gradient by ${signed(turn(e), 0)} degrees: push ${
          pair(against(push))
        }.`,
      );
    }

    /** The pushes that z would get in many places, of which none is too near the origin. */
    function drawField() {
      if (!field) return wind.setAttribute("d", "");
      let d = "";
      for (let x = -2.9; x < WIDE; x += 0.53) {
        for (let y = -2.3; y < HIGH; y += 0.51) {
          if (Math.hypot(x, y) < NEAR) continue;
          const { atCodeword, turned: push } = gradients({ ...world, z: [x, y] });
          d += drawing.arrow([x, y], codebooks.times(-0.08, world.turns ? push : atCodeword), 4);
        }
      }
      wind.setAttribute("d", d);
    }

    function draw() {
      const { k, e, atCodeword, turned: push, commitment } = gradients(world);
      while (cells.childNodes.length < world.codebook.length) cells.append(svg("path"));
      world.codebook.forEach((_, j) => {
        const corners = codebooks.cell(j, world.codebook, BOX);
        cells.childNodes[j].setAttribute("d", corners.length ? `${drawing.path(corners)}Z` : "");
        cells.childNodes[j].setAttribute("class", `lab-cell tint-${j % 6}`);
      });
      dots.setAttribute("d", drawing.dots(world.codebook));
      const [ex, ey] = drawing.at(e);
      letter.setAttribute("x", ex - 16);
      letter.setAttribute("y", ey - 6);
      rays.setAttribute("d", drawing.path([world.z, [0, 0], e]));
      way.setAttribute("d", drawing.path(path.past.z.slice(-3 * STEPS)));
      const arrow = (/** @type {number[]} */ from, /** @type {number[]} */ gradient) =>
        drawing.arrow(from, codebooks.times(-ARROW, gradient));
      asked.setAttribute("d", arrow(e, atCodeword));
      borrowed.setAttribute("d", arrow(world.z, atCodeword));
      turned.setAttribute("d", arrow(world.z, push));
      holds.setAttribute("d", arrow(world.z, commitment));
      point.place(world.z);
      point.rename();
      target.rename();
      values.show({
        asked: pair(against(atCodeword)),
        borrowed: pair(against(atCodeword)),
        turned: pair(against(push)),
        angle: `${signed(turn(e), 0)}°`,
        factor: (codebooks.length(e) / codebooks.length(world.z)).toFixed(2),
        commitment: pair(against(commitment)),
        outcome: outcome(path),
      });
      drawing.element.setAttribute(
        "aria-label",
        `A plane with cells; z is in that of codeword ${k}, and the loss there is ${
          codebooks.squaredDistance(e, world.target).toFixed(2)
        }.`,
      );
      drawField();
    }

    const inside = (/** @type {number[]} */ z) =>
      z.map((value, d) => Math.min(Math.max(value, -[WIDE, HIGH][d]), [WIDE, HIGH][d]));
    const path = walk(world, draw, first, six, inside);
    const estimator = choice({
      label: "z follows",
      options: [["straight", "straight-through"], ["rotation", "the rotation trick"]],
      value: "straight",
      change: (/** @type {string} */ value) => {
        world.turns = value === "rotation";
        draw();
      },
    });
    const { beta, moving } = controls(world, draw);
    const everywhere = tick({
      label: "The same for z in other places",
      value: field,
      change: (/** @type {boolean} */ value) => {
        field = value;
        draw();
      },
    });
    const element = make(
      "div",
      { class: "lab-parts" },
      make(
        "div",
        { class: "lab-main" },
        drawing.element,
        make(
          "p",
          { class: "lab-caption" },
          "Arrows push: at e what the decoder asks for; at z the same, straight through (thin), and turned and scaled " +
            "by the rotation trick (thick). Dashed: commitment.",
        ),
      ),
      values.element,
      make(
        "div",
        { class: "lab-controls" },
        path.buttons,
        estimator.element,
        beta.element,
        moving.element,
        everywhere.element,
      ),
    );
    path.forget();
    return element;
  }

  // ---------------------------------------------------------------- One or the other

  const rooms = [staircase(), turning()];
  const doors = ["On the staircase", "In the plane"].map((words, i) => button(words, () => enter(i)));
  /** @param {number} open */
  function enter(open) {
    rooms.forEach((room, i) => {
      room.hidden = i !== open;
      doors[i].setAttribute("aria-pressed", String(i === open));
    });
  }
  body.append(make("div", { class: "lab-row" }, ...doors), ...rooms);
  enter(0);
});
