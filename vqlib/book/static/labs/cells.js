// @ts-check
// Lab "Cells" (chapter 1): codewords that can be dragged, the cells of the plane, and the distortion that follows.
"use strict";

vqlabs.lab("cells", (/** @type {HTMLElement} */ body) => {
  const { announce, button, codebooks, later, make, numbers, plane, random, run, signed, still } = vqlabs;
  const LIMIT = 3;
  const BOX = [[-LIMIT, -LIMIT], [LIMIT, -LIMIT], [LIMIT, LIMIT], [-LIMIT, LIMIT]];
  const MOST = 16; // codewords
  const LOW = 0.01; // the least distortion that the chart has room for
  const HIGH = 6;
  const BY_HAND = [[-1, -1], [0.3, -1.2], [1.4, -0.2], [-1.3, 0.6], [0, 0.2], [0.8, 1.3]]; // those of chapter 1
  const CROSS = "M-7,-7L7,7M-7,7L7,-7";
  const GLIDE = 12; // frames from a codeword's old place to its new one

  /** @type {number[][]} */
  let points = [];
  let codebook = BY_HAND;
  /** @type {number[]} */
  let codes = [];
  let steps = 0;
  let resting = false; // whether the last step changed nothing
  let selected = BY_HAND.length - 1; // what Remove takes away
  let seed = 10;
  /** The least distortion that was found, for each number of codewords. @type {number[]} */
  let best = [];
  /** @type {{stop: () => void} | null} */
  let running = null;

  // ---------------------------------------------------------------- The drawing

  const drawing = plane({
    label: "A plane with points, codewords that can be moved, and their cells",
    x: [-LIMIT, LIMIT],
    y: [-LIMIT, LIMIT],
  });
  const cells = drawing.add("g");
  const sticks = drawing.add("path", { class: "lab-sticks" });
  const dots = drawing.add("path", { class: "lab-dots" });
  /** @type {any[]} One for each codeword. */
  let handles = [];
  const values = numbers({
    distortion: "Distortion, (1.3)",
    rate: "Rate, bits",
    steps: "Steps of k‑means",
    empty: "Codewords without a point",
  });

  const chart = plane({
    label: "",
    image: true,
    x: [-0.2, 4.2],
    y: [Math.log10(LOW), Math.log10(HIGH)],
    width: 300,
    height: 200,
    ticks: { x: [0, 1, 2, 3, 4], y: [-2, -1, 0] },
    sayY: (/** @type {number} */ power) => String(10 ** power),
    names: { x: "rate, bits a point", y: "distortion" },
  });
  const curve = chart.add("path", { class: "lab-line tone-1" });
  const known = chart.add("path", { class: "lab-dots tone-1" });
  const present = chart.add("path", { class: "lab-here", d: "" });

  /** Make handles anew, one for each codeword. */
  function takeHandles() {
    handles.forEach((handle) => handle.remove());
    handles = codebook.map((start, k) =>
      drawing.handle({
        kind: "lab-codeword",
        shape: [
          vqlabs.svg("path", { class: "lab-halo", d: CROSS }),
          vqlabs.svg("path", { class: "lab-star", d: CROSS }),
          vqlabs.svg("text", { class: "lab-text lab-tag", x: 10, y: -8 }, String(k)),
        ],
        start,
        name: () => `Codeword ${k}`,
        say: (/** @type {number[]} */ place) => `at ${signed(place[0])}, ${signed(place[1])}, ${count(k)}`,
        move: (/** @type {number[]} */ place) => {
          stop();
          codebook = codebook.map((e, j) => (j === k ? place : e));
          [steps, resting] = [0, false];
          draw();
        },
        drop: () => settle(),
        key: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Delete" && event.key !== "Backspace") return;
          event.preventDefault();
          remove(k);
          handles[Math.min(k, handles.length - 1)].element.focus();
        },
      })
    );
    handles.forEach((handle, k) =>
      handle.element.addEventListener("focus", () => {
        selected = k;
        take.textContent = `Remove codeword ${k}`;
      })
    );
    selected = Math.min(selected, codebook.length - 1);
    take.textContent = `Remove codeword ${selected}`;
  }

  /** How many points chose a codeword, in words. @param {number} k */
  function count(k) {
    const number = codes.filter((code) => code === k).length;
    return number === 0 ? "no point" : number === 1 ? "1 point" : `${number} points`;
  }

  /** Draw all that follows from the codewords. */
  function draw() {
    codes = codebooks.encode(points, codebook);
    const distortion = codebooks.distortion(points, codebook, codes);
    const K = codebook.length;
    while (cells.childNodes.length < K) cells.append(vqlabs.svg("path"));
    while (cells.childNodes.length > K) cells.lastChild.remove();
    const used = new Set(codes);
    codebook.forEach((e, k) => {
      const corners = codebooks.cell(k, codebook, BOX);
      cells.childNodes[k].setAttribute("d", corners.length ? `${drawing.path(corners)}Z` : "");
      cells.childNodes[k].setAttribute("class", `lab-cell tint-${k % 6}`);
      handles[k].place(e);
      handles[k].element.classList.toggle("lab-dead", !used.has(k));
    });
    sticks.setAttribute("d", drawing.sticks(points, codes.map((code) => codebook[code])));
    values.show({
      distortion: distortion.toFixed(3),
      rate: `log₂ ${K} = ${codebooks.rate(K).toFixed(2)}`,
      steps: resting ? `${steps}, at rest` : String(steps),
      empty: String(K - used.size),
    });
    present.setAttribute("d", drawPlace(codebooks.rate(K), distortion));
    if (best.length && distortion < best[K - 1]) {
      best[K - 1] = distortion;
      drawCurve();
    }
    add.disabled = K === MOST;
    take.disabled = K === 1;
    tell();
  }

  /** A place in the chart, whose distortions are powers of ten. @param {number} rate @param {number} distortion */
  function inChart(rate, distortion) {
    return [rate, Math.log10(Math.min(Math.max(distortion, LOW), 0.75 * HIGH))];
  }

  /** A ring in the chart. @param {number} rate @param {number} distortion */
  function drawPlace(rate, distortion) {
    const [x, y] = chart.at(inChart(rate, distortion));
    return `M${x - 6},${y}a6,6 0 1,0 12,0a6,6 0 1,0 -12,0`;
  }

  function drawCurve() {
    const places = best.map((distortion, k) => inChart(codebooks.rate(k + 1), distortion));
    curve.setAttribute("d", chart.path(places));
    known.setAttribute("d", chart.dots(places));
  }

  // What follows for those who hear the page: not at each pixel of a drag.
  const tell = later(() => {
    handles.forEach((handle) => handle.rename());
    const distortion = codebooks.distortion(points, codebook, codes);
    const least = best[codebook.length - 1];
    chart.element.setAttribute(
      "aria-label",
      `Rate ${codebooks.rate(codebook.length).toFixed(2)} bits a point, distortion ${distortion.toFixed(3)}` +
        (least === undefined ? "." : `; the least that was found at this rate is ${least.toFixed(3)}.`),
    );
  }, 150);

  const settle = later(() => {
    const distortion = codebooks.distortion(points, codebook, codes).toFixed(3);
    const empty = codebook.length - new Set(codes).size;
    announce(body, `Distortion ${distortion}, ${codebook.length} codewords, ${empty} without a point.`);
  });

  // ---------------------------------------------------------------- What can be done

  function stop() {
    running?.stop();
    running = null;
  }

  /** Put the codewords elsewhere at once. @param {number[][]} to */
  function put(to) {
    stop();
    const other = to.length !== codebook.length;
    codebook = to;
    [steps, resting] = [0, false];
    if (other) takeHandles();
    draw();
    settle();
  }

  /** Let the codewords glide to their means, step by step. @param {number} most Steps. */
  function improve(most) {
    stop();
    let frame = 0;
    let from = codebook;
    let to = codebooks.kmeansStep(points, codebook);
    const jump = still();
    const once = () => {
      frame = jump ? GLIDE : frame + 1;
      const share = frame / GLIDE;
      if (frame < GLIDE) {
        codebook = from.map((e, k) => codebooks.plus(codebooks.times(1 - share, e), codebooks.times(share, to[k])));
        draw();
        return false;
      }
      arrive();
      return most === 0 || resting;
    };
    /** The codewords are at their means. */
    const arrive = () => {
      codebook = to;
      resting = from.every((e, k) => codebooks.squaredDistance(e, to[k]) < 1e-18);
      if (!resting) steps += 1;
      most -= 1;
      frame = 0;
      from = to;
      to = codebooks.kmeansStep(points, codebook);
      draw();
    };
    const end = () => {
      if (frame) arrive(); // stopped on the way
      settle();
    };
    running = run(once, end);
  }

  /** Take a codeword away. @param {number} k */
  function remove(k) {
    if (codebook.length === 1) return;
    put(codebook.filter((_, j) => j !== k));
  }

  /** Add a codeword where a point is served worst. */
  function addOne() {
    const errors = points.map((z, n) => codebooks.squaredDistance(z, codebook[codes[n]]));
    const worst = errors.indexOf(Math.max(...errors));
    put([...codebook, points[worst]]);
  }

  /** Codewords in a heap in a corner, most of them with a neighbour between themselves and the points. */
  function startBadly() {
    const side = Math.ceil(Math.sqrt(codebook.length));
    put(codebook.map((_, k) => [-2.7 + 0.36 * (k % side), -2.7 + 0.36 * Math.floor(k / side)]));
  }

  /** Codewords on points. */
  function startWell() {
    seed += 1;
    put(codebooks.draw(points, codebook.length, random(seed).uniform));
  }

  /** Draw 300 points in five clouds. @param {number} from The seed. */
  function scatter(from) {
    const generator = random(from);
    const clouds = Array.from({ length: 5 }, () => ({
      middle: [-2 + 4 * generator.uniform(), -2 + 4 * generator.uniform()],
      width: 0.2 + 0.3 * generator.uniform(),
    }));
    const inside = (/** @type {number} */ value) => Math.min(Math.max(value, -2.9), 2.9);
    points = Array.from({ length: 300 }, (_, n) => {
      const { middle, width } = clouds[n % 5];
      return middle.map((value) => inside(value + width * generator.normal()));
    });
    dots.setAttribute("d", drawing.dots(points));
    best = [];
    curve.setAttribute("d", "");
    known.setAttribute("d", "");
    searchBest(points, 1, []);
  }

  /**
   * Find the least distortion for each number of codewords: k-means from three starts. One number at a time, so that
   * the page does not stand still.
   * @param {number[][]} of The points that it is for.
   * @param {number} K
   * @param {number[]} found
   */
  function searchBest(of, K, found) {
    if (of !== points) return; // there are new ones
    const generator = random(K);
    const tries = [0, 1, 2].map(() => codebooks.kmeans(of, codebooks.farApart(of, K, generator.uniform)));
    // One codeword more does no harm, wherever it is.
    found.push(Math.min(found[K - 2] ?? Infinity, ...tries.map((entries) => codebooks.distortion(of, entries))));
    if (K < MOST) {
      setTimeout(() => searchBest(of, K + 1, found));
      return;
    }
    best = found;
    drawCurve();
    draw();
  }

  const add = button("Add a codeword", addOne);
  const take = button("", () => remove(selected));
  const renew = () => {
    stop();
    scatter(++seed);
    put(codebook);
  };
  body.append(
    make(
      "div",
      { class: "lab-parts" },
      make("div", { class: "lab-main" }, drawing.element),
      values.element,
      make(
        "div",
        { class: "lab-row" },
        button("Step of k‑means", () => improve(1)),
        button("Run to the end", () => improve(200)),
        button("Start at points", startWell),
        button("Bad start", startBadly),
        add,
        take,
        button("New points", renew),
      ),
      make(
        "div",
        {},
        make("p", { class: "lab-caption" }, "Ring: your codebook. Line: the best that k‑means found with 1 to 16."),
        chart.element,
      ),
    ),
  );
  scatter(seed);
  takeHandles();
  draw();
});
