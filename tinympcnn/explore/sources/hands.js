// What the reader does: pointing, pressing, keys, buttons and fields. Everything ends in a call of the App.
class Hands {
  constructor(app) {
    this.app = app;
    $("slider").addEventListener("input", () => app.slide(Number($("slider").value)));
    $("back").addEventListener("click", () => app.walk(-1));
    $("next").addEventListener("click", () => app.walk(1));
    $("play").addEventListener("click", () => (app.playing ? app.stop() : app.play()));
    $("hold").addEventListener("click", () => app.hold(!app.pinned && app.sel !== null));
    $("undo").addEventListener("click", () => app.change((model) => model.undoEdits()));
    $("tie").addEventListener("click", () => app.change((model) => model.makeTie(app.sel.a, app.sel.b)));
    $("value").querySelector("input").addEventListener("input", (event) => this.typed(event.target.value));
    for (const [name, rule] of Object.entries(PRESETS)) {
      const made = element($("presets"), "button", { type: "button", textContent: name });
      made.addEventListener("click", () => app.change((model) => model.setDeltas(app.maps[model.last], rule)));
    }
    document.querySelectorAll("[data-move]").forEach((arrow) => {
      arrow.addEventListener("click", () => this.move(this.panelInUse(), ...arrow.dataset.move.split(",").map(Number)));
    });
  }

  typed(text) {
    const { app } = this, { sel } = app, value = Number(text);
    if (text === "" || !Number.isFinite(value)) return;
    app.change((model) => sel.stage === 0 ? model.edit(sel.a, sel.b, 0, value)
      : model.setDelta(sel.a, sel.b, app.maps[model.last], value));
  }

  // A canvas answers to mouse, pen and finger, and to the keys when it has the focus.
  on(panel) {
    const { app } = this, { canvas } = panel;
    const target = ({ clientX, clientY }) => {
      const { left, top } = canvas.getBoundingClientRect();
      return panel.hit(clientX - left, clientY - top);
    };
    canvas.addEventListener("pointermove", (event) => {
      if (!app.pinned && app.mode !== "patch") this.point(panel, target(event));
    });
    canvas.addEventListener("click", (event) => this.press(panel, target(event)));
    canvas.addEventListener("keydown", (event) => this.key(panel, event));
  }

  point(panel, cell) {
    if (!cell) return;
    const [a, b] = Geometry.placeOf(panel.pools, cell.f, cell.q, cell.p);
    this.used = panel;
    this.app.point({ stage: panel.stage, a, b });
  }

  // A click holds what it points at, and lets go of what is held; in the answer it also sets a delta, or a window.
  press(panel, cell) {
    if (!cell) return;
    const { app } = this, before = JSON.stringify(app.sel), held = app.pinned;
    this.point(panel, cell);
    const { sel, mode, model } = app, map = app.maps[model.last];
    app.hold(!(held && before === JSON.stringify(sel)));
    if (panel.kind !== "answer") return;
    const delta = model.delta(sel.a, sel.b, map);
    if (mode === "backward" && delta !== null) app.change(() => model.setDelta(sel.a, sel.b, map, delta ? 0 : 1));
    if (mode === "patch") app.jump();
  }

  key(panel, event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (moves[event.key]) this.move(panel, ...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.press(panel, this.cellIn(panel));
    else if (event.key === "Escape") this.app.hold(false);
    else return;
    event.preventDefault();
  }

  panelInUse() {
    const { sel, model, panels } = this.app, stage = sel?.stage ?? model.last;
    return this.used?.stage === stage && panels.includes(this.used) ? this.used
      : panels.findLast((panel) => panel.stage === stage && panel.kind !== "gradient");
  }

  // The cell of a panel where the keys begin: the one pointed at, or the first that is lit.
  cellIn(panel) {
    const { model, sel } = this.app;
    const places = sel ? Geometry.linked(model.stages, panel.stage, sel, panel.merged) : [];
    return Geometry.cellAt(panel.pools, ...(sel?.stage === panel.stage ? [sel.a, sel.b] : places[0] ?? [0, 0]));
  }

  move(panel, down, right) {
    const { app } = this, here = this.cellIn(panel);
    const next = app.sel?.stage === panel.stage ? panel.neighbour(here, down, right) : here;
    if (!next) return;
    this.point(panel, next);
    app.hold(true);
    if (app.mode === "patch" && panel.kind === "answer") app.jump();
  }
}

function element(parent, name, properties = {}) {
  const made = parent.appendChild(document.createElement(name));
  return Object.assign(made, properties);
}

function choices(parent, name, options, chosen) {
  options.forEach(([value, text], n) => {
    const label = element(parent, "label");
    const input = element(label, "input", { type: "radio", name, value, checked: n === 0 });
    element(label, "span", { textContent: text });
    input.addEventListener("change", () => chosen(value));
  });
}
