// The page: what is chosen and pointed at, the panels, and the drawing that follows every change.
const MODES = {
  trace: "Trace", patch: "Patch by patch", fragments: "Fragments", dilated: "Dilated", backward: "Backward",
};
const PACE = { patch: 90, fragments: 320, dilated: 1400, backward: 420 }; // milliseconds for a step of playing
const PRESETS = {
  "Four neighbours": (_, u, v) => ((u === 0 || u === 1) && (v === 0 || v === 1) ? 1 + 2 * u + v : 0),
  "1, 2, 3 …": (n) => n + 1,
  "All 1": () => 1,
  None: () => 0,
};
const LARGEST = 56; // the pixels of a cell
const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class App {
  constructor(scenes) {
    this.scenes = scenes;
    this.mode = "trace";
    this.theme = new Theme();
    this.hands = new Hands(this);
    choices($("scenes"), "scene", scenes.map(({ title }, n) => [n, title]), (n) => this.choose(Number(n)));
    choices($("modes"), "mode", Object.entries(MODES), (mode) => this.enter(mode));
    $("scenes").hidden = scenes.length < 2;
    this.choose(0);
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width !== width) this.layout();
      width = contentRect.width;
    }).observe(document.querySelector(".views"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.theme = new Theme();
      this.refresh();
    });
  }

  // ------------------------------------------------------------------------------------------- what is chosen

  choose(n) {
    this.steps = null; // nothing is drawn before `enter`
    this.model = new Model(this.scenes[n]);
    this.maps = this.model.stages.map(() => 0);
    this.model.setDeltas(0, PRESETS[this.model.perWindow ? "Four neighbours" : "1, 2, 3 …"]);
    this.build();
    this.enter(this.mode);
  }

  // A mode begins where there is something to see.
  enter(mode) {
    this.stop();
    const { model } = this, pool = Math.max(1, model.firstPool), [U, V] = model.sizes.outputs;
    Object.assign(this, { mode, steps: Steps.of(mode, model), pinned: false, mixed: 0 });
    const end = this.steps.length - 1, second = Math.min(1, model.x(pool).F - 1);
    this.at = {
      trace: 0,
      patch: Math.min(end, Math.round(2.4 * V)),
      fragments: this.steps.findIndex(({ stage, f }) => stage === pool && f === second),
      dilated: Math.min(end, pool + 1),
      backward: this.steps.findLastIndex(({ stage }) => stage === pool),
    }[mode];
    this.sel = {
      trace: { stage: model.last, a: Math.min(U - 1, (U >> 1) | 1), b: V >> 1 },
      fragments: null,
      backward: model.busiest(),
    }[mode === "dilated" || mode === "patch" ? "trace" : mode];
    this.arrived();
  }

  get step() { return this.steps[this.at]; }

  go(n) {
    this.at = Math.min(this.steps.length - 1, Math.max(0, n));
    if (!this.pinned && (this.mode === "patch" || this.mode === "fragments")) this.sel = null;
    this.arrived();
  }

  // After a step: patch by patch, the window is what is pointed at, and all cells so far are counted.
  arrived() {
    if (this.mode === "patch") {
      const { model, step: { u, v } } = this;
      this.sel = { stage: model.last, a: u, b: v };
      this.counts = Steps.recomputed(model, this.steps, this.at);
      const sizes = model.stages.slice(1).map((_, s) => Geometry.view(model.stages, s + 1, model.last));
      this.mostCounts = Math.max(...sizes.map(([rows, columns]) => rows * columns));
    }
    this.refresh();
  }

  // Patch by patch, an output that is pointed at is the window that is computed.
  jump() {
    const at = this.steps.findIndex(({ u, v }) => u === this.sel.a && v === this.sel.b);
    if (at >= 0) this.go(at);
  }

  slide(value) {
    if (this.mode !== "trace") return this.walk(value - this.at);
    this.mixed = value / 100;
    return this.refresh();
  }

  walk(steps) {
    this.stop();
    this.go(this.at + steps);
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
    this.refresh();
  }

  point(sel) {
    this.sel = sel;
    this.refresh();
  }

  hold(pinned) {
    this.pinned = pinned;
    this.refresh();
  }

  change(how) {
    how(this.model);
    this.refresh();
  }

  // ------------------------------------------------------------------------------------------- panels

  build() {
    const { model } = this;
    this.panels = [];
    for (const id of ["image", "storages", "answer"]) $(id).replaceChildren();
    this.add($("image"), "Image", 0, "image", model.sizes.padded);
    this.add(element($("storages"), "div"), "dx", 0, "gradient");
    model.stages.slice(1).forEach(({ word }, s) => this.add(element($("storages"), "div"), word, s + 1, "storage"));
    this.add($("answer"), "Answer", model.last, "answer", model.sizes.merged);
    this.layout();
  }

  add(box, title, stage, kind, size = null) {
    const head = element(box, "div", { className: "head" });
    element(head, "h2", { textContent: title });
    if (this.model.x(stage).C > 1 && stage > 0) this.picker(head, stage, kind, title);
    const sub = element(box, "p", { className: "sub" }), canvas = element(box, "canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title}: arrow keys move, Enter holds`);
    const panel = Object.assign(new Panel(canvas, this.model, stage, size), { kind, sub, box });
    this.panels.push(panel);
    this.hands.on(panel);
  }

  picker(head, stage, kind, title) {
    const select = element(head, "select", { ariaLabel: `Map of ${title}` });
    const names = kind === "answer" ? this.model.scene.classes : [];
    for (let map = 0; map < this.model.x(stage).C; map++) {
      element(select, "option", { value: map, textContent: names[map] ?? `map ${map}` });
    }
    select.dataset.stage = stage;
    select.addEventListener("change", () => {
      this.maps[stage] = Number(select.value);
      document.querySelectorAll(`select[data-stage="${stage}"]`).forEach((twin) => { twin.value = select.value; });
      this.refresh();
    });
  }

  // All storages have cells of one size, so that fragments can be compared by eye.
  layout() {
    for (const panel of this.panels) if (panel.kind === "gradient") panel.box.hidden = this.mode !== "backward";
    const seen = this.panels.filter((panel) => panel.canvas.clientWidth > 0);
    const cell = Math.min(...seen.filter((panel) => !panel.flat).map((panel) => panel.fit(panel.canvas.clientWidth)));
    for (const panel of seen) {
      const width = panel.canvas.clientWidth;
      panel.resize(width, Math.min(LARGEST, panel.flat ? panel.fit(width) : cell));
    }
    this.draw(performance.now()); // at once: a canvas is empty after a change of its size
  }

  // ------------------------------------------------------------------------------------------- drawing

  refresh() {
    this.waiting ??= requestAnimationFrame((now) => {
      this.waiting = null;
      this.draw(now);
    });
  }

  draw(now) {
    if (!this.steps) return;
    const backward = this.mode === "backward";
    if (this.panels.some((panel) => panel.kind === "gradient" && panel.box.hidden === backward)) return this.layout();
    const passed = Math.min(50, now - (this.drawn ?? now)) / 700;
    let moving = false;
    for (const panel of this.panels) {
      if (!panel.flat) moving = this.glide(panel, passed) || moving;
      if (panel.cell) panel.draw((Looks[panel.kind] ?? Looks.storage)(this, panel), this.theme);
    }
    Speech.all(this);
    this.drawn = moving ? now : undefined;
    if (moving) this.refresh();
  }

  // How far the fragments of a panel are to move together: 0 apart, 1 merged.
  target({ stage }) {
    if (this.mode === "trace") return this.mixed;
    if (this.mode === "fragments") return stage === this.model.last && this.step.stage > this.model.last ? 1 : 0;
    return this.mode === "dilated" ? 1 : 0;
  }

  glide(panel, passed) {
    const target = this.target(panel);
    if ((this.mode === "trace" && this.mixed > 0) || calm.matches) panel.way = target;
    else if (panel.way < target) panel.way = Math.min(target, panel.way + passed);
    else panel.way = Math.max(target, panel.way - passed);
    panel.m = panel.way * panel.way * (3 - 2 * panel.way);
    return panel.way !== target;
  }
}

const app = new App(JSON.parse($("data").textContent));
