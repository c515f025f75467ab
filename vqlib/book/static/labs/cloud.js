// @ts-check
// Lab "Cloud and codebook" (chapters 3 and 6): a codebook that trains on the page, dies, and is brought back.
"use strict";

vqlabs.lab("cloud", (/** @type {HTMLElement} */ body) => {
  const { announce, button, choice, codebooks, make, numbers, plane, random, run, slider, svg, tick } = vqlabs;
  const K = 16;
  const BATCH = 64;
  const MOST = 300; // batches of one run
  const WINDOW = 300; // batches that the history shows
  const BELOW = 0.1; // of the mean count: what is restarted
  const TRAIL = 30; // batches for which a codeword's way is drawn
  const RATES = [0.1, 0.2, 0.5, 1, 2, 5, 10];
  const DECAYS = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999];
  const HOLD = [0.2, 4.5]; // where the cloud is taken hold of
  const FAR = 999; // a mean squared distance at which the codebook is lost
  // The five groups of chapter 6, some crowded and some not: their middles, and how many points they have.
  const GROUPS = [[1.2, 2.6, 240], [2.8, 0.8, 150], [3.2, 3.6, 100], [4.6, 2, 70], [2.7, 2.2, 40]];

  const generator = random(0);
  /** The cloud where it began. @type {number[][]} */
  const home = GROUPS.flatMap(([x, y, number]) =>
    Array.from({ length: number }, () => [x + 0.33 * generator.normal(), y + 0.33 * generator.normal()])
  );
  let points = home;
  let method = "averages";
  let start = "random";
  let learningRate = 2;
  let decay = 0.9;
  let restarts = false;
  /** Codewords, counts and sums. @type {{codebook: number[][], counts: number[], sums: number[][]}} */
  let state;
  /** @type {number[][]} The last batch. */
  let batch = [];
  /** @type {number[]} The codes that it chose, before these moved. */
  let chosen = [];
  let batches = 0;
  let restarted = 0;
  /** @type {{used: number, perplexity: number}[]} After each batch. */
  let history = [];
  /** @type {number[][][]} The last codebooks. */
  let trail = [];
  /** @type {{stop: () => void} | null} */
  let running = null;

  // ---------------------------------------------------------------- The drawing

  const drawing = plane({ label: "A cloud of points, and a codebook", x: [-0.8, 6], y: [-0.8, 5.2], height: 353 });
  const [ox, oy] = drawing.at([0, 0]);
  drawing.add("path", { class: "lab-axis", d: `M${ox - 6},${oy}h12M${ox},${oy - 6}v12` });
  drawing.write([0, 0], "0", { dx: -16, dy: 18 });
  const dots = drawing.add("path", { class: "lab-dots lab-pale" });
  const sticks = drawing.add("path", { class: "lab-sticks" });
  const ways = drawing.add("path", { class: "lab-line lab-way tone-1" });
  const dead = drawing.add("g");
  const alive = drawing.add("g");
  const CROSS = "M-5,-5L5,5M-5,5L5,-5";
  const STAR = Array.from({ length: 10 }, (_, i) => {
    const [size, turn] = [i % 2 ? 3.8 : 9, (Math.PI * i) / 5];
    return `${i ? "L" : "M"}${(size * Math.sin(turn)).toFixed(1)},${(-size * Math.cos(turn)).toFixed(1)}`;
  }).join("");
  const marks = Array.from({ length: K }, () => svg("path"));

  const cloud = drawing.handle({
    kind: "lab-mover",
    shape: [
      svg("path", {
        class: "lab-line",
        d: "M-14,0H14M0,-14V14M-10,-4L-14,0L-10,4M10,-4L14,0L10,4M-4,-10L0,-14L4,-10M-4,10L0,14L4,10",
      }),
      svg("text", { class: "lab-text", x: 21, y: 5 }, "cloud"),
    ],
    start: HOLD,
    name: () => "The cloud",
    step: 0.2,
    move: (/** @type {number[]} */ place) => {
      const by = codebooks.minus(place, HOLD);
      points = home.map((z) => codebooks.plus(z, by));
      batch = [];
      draw();
    },
    drop: tell,
  });

  const values = numbers({
    batches: "Batches of 64",
    used: "Codes in use",
    dead: "Dead codes",
    perplexity: "Perplexity",
    distance: "Mean squared distance",
    restarted: "Restarts",
  });
  const bars = plane({
    label: "",
    image: true,
    x: [-0.7, K - 0.3],
    y: [0, 3],
    width: 300,
    height: 130,
    ticks: { y: [0, 1, 2, 3] },
    names: { y: "points of each code" },
  });
  const columns = Array.from({ length: K }, () => bars.add("path", { class: "lab-column" }));
  const marksOfBars = [...bars.element.querySelectorAll("text")].slice(0, 4);
  const chart = plane({
    label: "",
    image: true,
    x: [0, WINDOW],
    y: [0, K + 1],
    width: 300,
    height: 160,
    ticks: { y: [0, 8, 16] },
    names: { x: "the last 300 batches" },
  });
  const use = chart.add("path", { class: "lab-line tone-0" });
  const even = chart.add("path", { class: "lab-line lab-dashed tone-1" });

  /** What the codebook comes to, over all points. */
  function health() {
    const codes = codebooks.encode(points, state.codebook);
    const { counts } = codebooks.groups(points, codes, K);
    return {
      counts,
      used: counts.filter((/** @type {number} */ count) => count > 0).length,
      perplexity: codebooks.perplexity(counts),
      distance: 2 * codebooks.distortion(points, state.codebook, codes), // of both entries together, as in chapter 6
    };
  }

  function draw() {
    const { counts, used, perplexity, distance } = health();
    dots.setAttribute("d", drawing.dots(points));
    sticks.setAttribute("d", drawing.sticks(batch, chosen.map((k) => state.codebook[k])));
    ways.setAttribute("d", state.codebook.map((_, k) => drawing.path(trail.map((codebook) => codebook[k]))).join(""));
    marks.forEach((mark, k) => {
      mark.setAttribute("transform", `translate(${drawing.at(state.codebook[k])})`);
      mark.setAttribute("d", counts[k] ? STAR : CROSS);
      mark.setAttribute("class", counts[k] ? "lab-alive" : "lab-gone");
      const layer = counts[k] ? alive : dead;
      if (mark.parentNode !== layer) layer.append(mark);
    });
    values.show({
      batches: String(batches),
      used: `${used} of ${K}`,
      dead: String(K - used),
      perplexity: perplexity.toFixed(1),
      distance: distance > FAR ? `over ${FAR}` : distance.toFixed(2),
      restarted: String(restarted),
    });
    const unit = Math.max(...counts) > 150 ? 200 : 50; // points between two marks
    marksOfBars.forEach((mark, i) => {
      mark.textContent = String(i * unit);
    });
    columns.forEach((column, k) => {
      const [x, y] = bars.at([k, counts[k] / unit]);
      const [, bottom] = bars.at([k, 0]);
      const none = `M${x - 4},${bottom - 10}l8,8m-8,0l8,-8`;
      column.setAttribute("d", counts[k] ? `M${x - 5},${bottom}V${y}h10V${bottom}Z` : none);
    });
    bars.element.setAttribute("aria-label", `Points of each code: ${counts.join(", ")}.`);
    const shown = history.slice(-WINDOW);
    use.setAttribute("d", chart.path(shown.map((entry, i) => [i, entry.used])));
    even.setAttribute("d", chart.path(shown.map((entry, i) => [i, entry.perplexity])));
    chart.element.setAttribute(
      "aria-label",
      `After ${batches} batches: ${used} codes in use, perplexity ${perplexity.toFixed(1)}.`,
    );
  }

  function tell() {
    const { used, perplexity, distance } = health();
    if (distance > FAR) return announce(body, "The learning rate is too large: codewords fly off.");
    announce(
      body,
      `After ${batches} batches ${used} of ${K} codes are in use, perplexity ${perplexity.toFixed(1)}, ` +
        `mean squared distance ${distance.toFixed(2)}.`,
    );
  }

  // ---------------------------------------------------------------- The training

  /** Start the codebook where the reader wants it, as vqlib's initialize does. */
  function begin() {
    stop();
    const { uniform } = generator;
    const small = () => -0.05 + 0.1 * uniform();
    /** @type {number[][]} */
    let codebook = Array.from({ length: K }, () => [small(), small()]);
    if (start === "data") codebook = codebooks.draw(points, K, uniform);
    if (start === "kmeans") codebook = codebooks.kmeans(points, codebooks.farApart(points, K, uniform));
    state = codebooks.startAverages(codebook);
    if (start !== "random") {
      const { counts } = codebooks.groups(points, codebooks.encode(points, codebook), K);
      const share = (/** @type {number} */ count) => Math.max((count * K) / points.length, 1 / K);
      state = codebooks.startAverages(codebook, counts.map(share));
    }
    [batch, batches, restarted, trail, history] = [[], 0, 0, [], []];
    remember();
    draw();
  }

  /** Keep what the charts show; return whether the codebook is lost. */
  function remember() {
    const { used, perplexity, distance } = health();
    history.push({ used, perplexity });
    trail = [...trail, state.codebook].slice(-TRAIL);
    return distance > FAR;
  }

  /** Train on one batch; return whether the codebook is lost. */
  function learn() {
    batch = Array.from({ length: BATCH }, () => points[generator.integer(points.length)]);
    chosen = codebooks.encode(batch, state.codebook);
    const averaged = codebooks.averageStep(batch, state, decay);
    // The codebook of the loss needs counts as well, for restarts.
    state = method === "averages"
      ? averaged
      : codebooks.startAverages(codebooks.lossStep(batch, state.codebook, learningRate), averaged.counts);
    if (restarts) {
      const rows = Array.from({ length: K }, () => generator.integer(BATCH));
      const healed = codebooks.restart(batch, state, BELOW, rows);
      restarted += healed.restarted.length;
      state = healed;
    }
    batches += 1;
    return remember();
  }

  function stop() {
    running?.stop();
    running = null;
  }

  function once() {
    stop();
    learn();
    draw();
    tell();
  }

  function play() {
    if (running) return stop();
    let left = MOST;
    let frame = 0;
    const still = vqlabs.still();
    const next = () => {
      frame += 1;
      if (frame % 2 && !still) return false; // thirty batches a second
      const lost = learn();
      left -= 1;
      if (!still) draw();
      return lost || left === 0;
    };
    const end = () => {
      running = null;
      player.textContent = "Run";
      draw();
      tell();
    };
    player.textContent = "Pause";
    const started = run(next, end);
    running = player.textContent === "Pause" ? started : null; // all came at once
  }

  // ---------------------------------------------------------------- What can be done

  const player = button("Run", play);
  const rate = slider({
    label: "Learning rate",
    min: 0,
    max: RATES.length - 1,
    step: 1,
    value: RATES.indexOf(learningRate),
    say: (/** @type {number} */ i) => String(RATES[i]),
    change: (/** @type {number} */ i) => {
      learningRate = RATES[i];
    },
  });
  const memory = slider({
    label: "Decay",
    min: 0,
    max: DECAYS.length - 1,
    step: 1,
    value: DECAYS.indexOf(decay),
    say: (/** @type {number} */ i) => String(DECAYS[i]),
    change: (/** @type {number} */ i) => {
      decay = DECAYS[i];
    },
  });
  const mover = choice({
    label: "The codebook moves by",
    options: [["averages", "moving averages"], ["loss", "its loss"]],
    value: method,
    change: (/** @type {string} */ value) => {
      method = value;
      show();
    },
  });
  const place = choice({
    label: "It starts",
    options: [["random", "at random near 0"], ["data", "on points"], ["kmeans", "from k\u2011means"]],
    value: start,
    change: (/** @type {string} */ value) => {
      start = value;
      begin();
      tell();
    },
  });
  const again = tick({
    label: "Restart dead codes",
    value: restarts,
    change: (/** @type {boolean} */ value) => {
      restarts = value;
    },
  });
  function show() {
    rate.element.hidden = method !== "loss";
    memory.element.hidden = method === "loss";
  }
  const renew = () => {
    stop();
    points = home;
    cloud.place(HOLD);
    cloud.rename();
    begin();
    tell();
  };
  body.append(
    make(
      "div",
      { class: "lab-parts" },
      make("div", { class: "lab-main" }, drawing.element),
      values.element,
      make(
        "div",
        { class: "lab-controls" },
        make("div", { class: "lab-row" }, player, button("One batch", once), button("Start again", renew)),
        again.element,
        mover.element,
        place.element,
        rate.element,
        memory.element,
      ),
      make(
        "div",
        { class: "lab-charts" },
        bars.element,
        make("p", { class: "lab-caption" }, "Line: codes in use. Dashes: perplexity."),
        chart.element,
      ),
    ),
  );
  show();
  begin();
});
