// The page: what is chosen and pointed at, the events that change it, and the drawing that follows.
const MODES = { trace: "Trace", patch: "Patch by patch", fragments: "Fragments", dilated: "Dilated", backward: "Backward" };
const PACE = { patch: 90, fragments: 320, dilated: 1400, backward: 420 }; // milliseconds for a step of playing
const PRESETS = {
  "Four neighbours": (n, u, v) => (u === 0 || u === 1) && (v === 0 || v === 1) ? 1 + 2 * u + v : 0,
  "1, 2, 3 …": (n) => n + 1,
  "All 1": () => 1,
  None: () => 0,
}; // of the number n of an output in the order of the fragments, and its place beside the middle of the answer
const LARGEST = 56; // the pixels of a cell
const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class App {
  constructor(scenes) {
    this.scenes = scenes;
    this.mode = "trace";
    this.theme = new Theme();
    choices($("scenes"), "scene", scenes.map(({ title }, n) => [n, title]), (n) => this.choose(Number(n)));
    choices($("modes"), "mode", Object.entries(MODES), (mode) => this.enter(mode));
    $("scenes").hidden = scenes.length < 2;
    for (const name of Object.keys(PRESETS)) button($("presets"), name, () => this.preset(name));
    this.listen();
    this.choose(0);
  }

  // ------------------------------------------------------------------------------------------- what is chosen

  choose(n) {
    this.model = new Model(this.scenes[n]);
    this.maps = this.model.stages.map(() => 0);
    this.steps = null; // nothing is drawn before `enter`
    this.build();
    this.preset(this.model.perWindow ? "Four neighbours" : "1, 2, 3 …");
    this.enter(this.mode);
  }

  // A mode begins where there is something to see.
  enter(mode) {
    this.stop();
    this.mode = mode;
    const { model } = this, pool = model.stages.findIndex((stage) => stage.layer && Twin.isPool(stage.layer));
    this.steps = Steps.of(mode, model);
    const begins = {
      patch: () => Math.min(this.steps.length - 1, Math.round(2.4 * model.sizes.outputs[1])),
      fragments: () => this.steps.findIndex(({ stage, f }) => stage === Math.max(1, pool) && f === Math.min(1, model.x(stage).F - 1)),
      dilated: () => Math.min(this.steps.length - 1, Math.max(1, pool) + 1),
      backward: () => this.steps.length - 1,
    };
    this.at = begins[mode]?.() ?? 0;
    this.pinned = false;
    const [U, V] = model.sizes.outputs;
    this.sel = mode === "fragments" || mode === "backward" ? null
      : { stage: model.last, a: Math.min(U - 1, (U >> 1) | 1), b: V >> 1 };
    if (mode === "backward") this.sel = this.busiest();
    this.counted();
    if (mode === "patch") this.follow();
    this.mixed = 0;
    this.refresh();
  }

  get step() { return this.steps[this.at]; }

  go(n) {
    this.at = Math.min(this.steps.length - 1, Math.max(0, n));
    if (!this.pinned && this.mode !== "dilated") this.sel = null;
    this.counted();
    if (this.mode === "patch") this.follow();
    this.refresh();
  }

  follow() {
    const { u, v } = this.step;
    this.sel = { stage: this.model.last, a: u, b: v };
  }

  counted() {
    if (this.mode !== "patch") return;
    this.counts = Steps.recomputed(this.model, this.steps, this.at);
    this.mostCounts = this.model.stages.slice(1).reduce((most, _, s) =>
      Math.max(most, Geometry.view(this.model.stages, s + 1, this.model.last).reduce((a, b) => a * b)), 1);
  }

  // The pixel in front of the first pool that collects the most deltas: what the backward way begins with.
  busiest() {
    const { model } = this, stage = model.stages.findIndex((_, s) => Twin.isPool(model.stages[s + 1]?.layer ?? {}));
    if (stage < 0) return null;
    let best = null, most = 0;
    model.cells(stage, (f, q, p) => {
      const n = model.contributions(stage, { f, q, p }, 0).filter(({ delta }) => delta !== 0).length;
      if (n > most) [most, best] = [n, { f, q, p }];
    });
    if (!best) return null;
    const [a, b] = Geometry.placeOf(model.stages[stage].pools, best.f, best.q, best.p);
    return { stage, a, b };
  }

  preset(name) {
    const { model } = this, { outputs, K } = model.sizes, map = this.maps[model.last];
    model.deltas.data.fill(0);
    const order = [];
    for (let u = 0; u < outputs[0]; u++) for (let v = 0; v < outputs[1]; v++) {
      const { f, q, p } = Geometry.cellAt(model.stages[model.last].pools, u, v);
      order.push({ u, v, key: (f * K[0] * outputs[0] + q) * K[1] * outputs[1] + p });
    }
    order.sort((one, other) => one.key - other.key); // the deltas are counted in the order of the fragments
    order.forEach(({ u, v }, n) => { model.deltas.data[Twin.place(model.deltas, 0, u, v) + map] = PRESETS[name](n, u - (outputs[0] >> 1), v - (outputs[1] >> 1)); });
    model.backward();
    this.refresh();
  }

  setDelta(u, v, value) {
    const { deltas } = this.model;
    if (u >= deltas.H || v >= deltas.W) return;
    deltas.data[Twin.place(deltas, 0, u, v) + this.maps[this.model.last]] = value;
    this.model.backward();
    this.refresh();
  }

  getDelta({ a, b }) {
    const { deltas } = this.model;
    return a < deltas.H && b < deltas.W ? deltas.data[Twin.place(deltas, 0, a, b) + this.maps[this.model.last]] : null;
  }

  setPixel(value) {
    this.model.edit(this.sel.a, this.sel.b, 0, value);
    this.refresh();
  }

  // Pixels made equal: two neighbours if a pool reads the image, or all that one pooled cell sees.
  makeTie() {
    const { model, sel: { a, b } } = this, { image, stages } = model;
    const pool = stages.findIndex((stage) => stage.layer && Twin.isPool(stage.layer));
    if (pool < 0) return;
    const value = (q, p) => image.data[Twin.place(image, 0, q, p)];
    const near = [[a, b + 1], [a, b - 1], [a + 1, b], [a - 1, b]].filter(([q, p]) => q >= 0 && p >= 0 && q < image.H && p < image.W);
    if (pool === 1) model.edit(a, b, 0, Math.max(...near.map(([q, p]) => value(q, p))));
    else {
      const [h, w] = stages[pool].seen, same = value(a, b);
      const top = Math.min(a, image.H - h), left = Math.min(b, image.W - w);
      for (let q = top; q < top + h; q++) for (let p = left; p < left + w; p++) image.data[Twin.place(image, 0, q, p)] = same;
      model.edit(a, b, 0, same);
    }
    this.refresh();
  }

  // ------------------------------------------------------------------------------------------- panels and events

  build() {
    const { model } = this, { last } = model, titles = ["Image", "Answer"];
    this.panels = [];
    for (const id of ["image", "storages", "answer"]) $(id).replaceChildren();
    this.add($("image"), titles[0], 0, "image", model.sizes.padded);
    this.add($("storages"), "dx", 0, "gradient");
    model.stages.slice(1).forEach((stage, s) => this.add($("storages"), stage.word, s + 1, "storage"));
    this.add($("answer"), titles[1], last, "answer", model.sizes.merged);
    this.layout();
  }

  add(parent, title, stage, kind, size = null) {
    const box = element(kind === "image" || kind === "answer" ? parent : element(parent, "section"), "div");
    const head = element(box, "div", { className: "head" });
    element(head, "h2", { textContent: title });
    const { C } = this.model.x(stage), names = kind === "answer" ? this.model.scene.classes : [];
    if (C > 1 && kind !== "image") this.picker(head, stage, C, names, title);
    const sub = element(box, "p", { className: "sub" }), canvas = element(box, "canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title}: arrow keys move, Enter holds`);
    const panel = Object.assign(new Panel(canvas, this.model, stage, size), { kind, sub, box: box.parentElement === parent ? box : box.parentElement });
    this.panels.push(panel);
    const target = (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      return panel.hit(event.clientX - left, event.clientY - top);
    };
    canvas.addEventListener("pointermove", (event) => { if (!this.pinned && this.mode !== "patch") this.point(panel, target(event)); });
    canvas.addEventListener("click", (event) => this.press(panel, target(event)));
    canvas.addEventListener("keydown", (event) => this.key(panel, event));
  }

  picker(head, stage, maps, names, title) {
    const select = element(head, "select", { ariaLabel: `Map of ${title}` });
    for (let map = 0; map < maps; map++) element(select, "option", { value: map, textContent: names[map] ?? `map ${map}` });
    select.dataset.stage = stage;
    select.addEventListener("change", () => {
      this.maps[stage] = Number(select.value);
      document.querySelectorAll(`select[data-stage="${stage}"]`).forEach((twin) => { twin.value = select.value; });
      this.refresh();
    });
  }

  point(panel, cell) {
    if (!cell) return;
    const [a, b] = Geometry.placeOf(panel.pools, cell.f, cell.q, cell.p);
    this.sel = { stage: panel.stage, a, b, map: this.maps[panel.stage] };
    this.focus = panel;
    this.refresh();
  }

  press(panel, cell) {
    if (!cell) return;
    const before = JSON.stringify(this.sel), held = this.pinned;
    this.point(panel, cell);
    this.pinned = !(held && before === JSON.stringify(this.sel));
    if (this.mode === "backward" && panel.kind === "answer") {
      this.setDelta(this.sel.a, this.sel.b, this.getDelta(this.sel) ? 0 : 1);
    }
    if (this.mode === "patch" && panel.kind === "answer") this.jump();
    this.refresh();
  }

  // Patch by patch, an output that is pointed at is the window that is computed.
  jump() {
    const at = this.steps.findIndex(({ u, v }) => u === this.sel.a && v === this.sel.b);
    if (at >= 0) this.go(at);
  }

  key(panel, event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (moves[event.key]) this.move(panel, ...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.press(panel, this.cellIn(panel));
    else if (event.key === "Escape") this.release();
    else return;
    event.preventDefault();
  }

  release() {
    this.pinned = false;
    this.refresh();
  }

  // The cell of a panel where the keys begin: the one pointed at, or the first that is lit.
  cellIn(panel) {
    const { model, sel } = this;
    const places = sel ? Geometry.linked(model.stages, panel.stage, sel, panel.merged) : [];
    return Geometry.cellAt(panel.pools, ...(sel?.stage === panel.stage ? [sel.a, sel.b] : places[0] ?? [0, 0]));
  }

  move(panel, down, right) {
    const here = this.cellIn(panel), next = this.sel?.stage === panel.stage ? panel.neighbour(here, down, right) : here;
    if (!next) return;
    this.point(panel, next);
    this.pinned = true;
    if (this.mode === "patch" && panel.kind === "answer") this.jump();
    this.refresh();
  }

  listen() {
    $("slider").addEventListener("input", () => {
      this.stop();
      if (this.mode === "trace") {
        this.mixed = Number($("slider").value) / 100;
        this.refresh();
      } else this.go(Number($("slider").value));
    });
    $("back").addEventListener("click", () => { this.stop(); this.go(this.at - 1); });
    $("next").addEventListener("click", () => { this.stop(); this.go(this.at + 1); });
    $("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    $("hold").addEventListener("click", () => { this.pinned = !this.pinned && this.sel !== null; this.refresh(); });
    $("undo").addEventListener("click", () => { this.model.undoEdits(); this.refresh(); });
    $("tie").addEventListener("click", () => this.makeTie());
    $("value").querySelector("input").addEventListener("input", (event) => {
      const value = Number(event.target.value);
      if (event.target.value === "" || !Number.isFinite(value)) return;
      if (this.sel.stage === 0) this.setPixel(value);
      else this.setDelta(this.sel.a, this.sel.b, value);
    });
    document.querySelectorAll("[data-move]").forEach((arrow) => arrow.addEventListener("click", () => {
      const stage = this.sel?.stage ?? this.model.last;
      const panel = this.focus?.stage === stage ? this.focus : this.panels.find((one) => one.stage === stage && one.kind !== "gradient");
      this.move(panel, ...arrow.dataset.move.split(",").map(Number));
    }));
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width !== width) this.layout();
      width = contentRect.width;
    }).observe(document.querySelector(".views"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.theme = new Theme(); this.refresh(); });
  }

  play() {
    if (this.at === this.steps.length - 1) this.go(0);
    this.pinned = false;
    const tick = () => {
      this.go(this.at + 1);
      if (this.at < this.steps.length - 1) this.playing = setTimeout(tick, PACE[this.mode]);
      else this.stop();
    };
    this.playing = setTimeout(tick, PACE[this.mode]);
    this.refresh();
  }

  stop() {
    clearTimeout(this.playing);
    this.playing = null;
    if (this.panels) this.refresh();
  }

  // ------------------------------------------------------------------------------------------- drawing

  layout() {
    if (!this.panels?.length) return;
    this.shown();
    const seen = this.panels.filter((panel) => panel.canvas.clientWidth > 0);
    const tiles = seen.filter((panel) => !panel.flat), cell = Math.min(...tiles.map((panel) => panel.fit(panel.canvas.clientWidth)));
    for (const panel of seen) {
      const width = panel.canvas.clientWidth;
      panel.resize(width, Math.min(LARGEST, panel.flat ? panel.fit(width) : cell));
    }
    this.draw(performance.now()); // at once: a canvas is empty after a change of its size
  }

  shown() {
    for (const panel of this.panels) if (panel.kind === "gradient") panel.box.hidden = this.mode !== "backward";
  }

  refresh() {
    if (this.waiting || !this.panels) return;
    this.waiting = requestAnimationFrame((now) => {
      this.waiting = null;
      this.draw(now);
    });
  }

  // How far a panel's fragments are to move together: 0 apart, 1 merged.
  target(panel) {
    if (this.mode === "trace") return this.mixed;
    if (this.mode === "fragments") return panel.stage === this.model.last && this.step.stage > this.model.last ? 1 : 0;
    return this.mode === "dilated" ? 1 : 0;
  }

  draw(now) {
    if (!this.steps) return;
    const gradients = this.mode === "backward";
    if (this.panels.some((panel) => panel.kind === "gradient" && panel.box.hidden === gradients)) return this.layout();
    let moving = false;
    const passed = Math.min(50, now - (this.drawn ?? now)) / 700;
    this.drawn = now;
    for (const panel of this.panels) {
      if (!panel.flat) moving = this.glide(panel, passed) || moving;
      const look = panel.kind === "image" ? Looks.image(this, panel) : panel.kind === "answer" ? Looks.answer(this, panel) : Looks.storage(this, panel);
      if (panel.cell) panel.draw(look, this.theme);
    }
    Speech.all(this);
    if (moving) this.refresh();
    else this.drawn = undefined;
  }

  glide(panel, passed) {
    const target = this.target(panel);
    panel.way ??= panel.m;
    if (this.mode === "trace" && this.mixed > 0 || calm.matches) panel.way = target;
    else panel.way = panel.way < target ? Math.min(target, panel.way + passed) : Math.max(target, panel.way - passed);
    panel.m = panel.way * panel.way * (3 - 2 * panel.way);
    return panel.way !== target;
  }
}

function element(parent, name, properties = {}) {
  const made = parent.appendChild(document.createElement(name));
  return Object.assign(made, properties);
}

function button(parent, text, press) {
  element(parent, "button", { type: "button", textContent: text }).addEventListener("click", press);
}

function choices(parent, name, options, chosen) {
  options.forEach(([value, text], n) => {
    const label = element(parent, "label"), input = element(label, "input", { type: "radio", name, value, checked: n === 0 });
    element(label, "span", { textContent: text });
    input.addEventListener("change", () => chosen(value));
  });
}

const app = new App(JSON.parse($("data").textContent));
