// What each panel shows in each mode: colours of cells, what is lit, frames, and texts in cells.
const Looks = (() => {
  "use strict";
  const ROOM = 34; // the size of a cell in which a number can be read, and of one in which a single digit can
  const DIGIT = 11;

  const hue = (theme, pools, f) => {
    if (!pools.length) return theme.neutral;
    const later = pools.slice(1).reduce((n, [kh, kw]) => n * kh * kw, 1);
    return theme.hues[Math.floor(f / later) % theme.hues.length];
  };

  const cellsOf = (model, stage, places) => places.map(([a, b]) => Geometry.cellAt(model.stages[stage].pools, a, b));

  // The grey, or the colour, of a pixel of the image.
  function pixel(model, theme, q, p) {
    const { C } = model.image, x = model.x(0), from = Twin.place(x, 0, q, p);
    const part = (c) => {
      const [low, high] = model.ranges[0][c];
      return high > low ? (x.data[from + c] - low) / (high - low) : 0.5;
    };
    if (C !== 3) return Theme.at(theme.greys, part(0));
    return `rgb(${[0, 1, 2].map((c) => Math.round(255 * Math.min(1, Math.max(0, part(c))))).join(",")})`;
  }

  function tint(model, theme, stage, map, f, q, p) {
    const [low, high] = model.ranges[stage][map], value = model.value(stage, { f, q, p }, map);
    const t = high > low ? (value - low) / (high - low) : 0.5;
    return Theme.at(hue(theme, model.stages[stage].pools, f), 0.06 + 0.94 * t);
  }

  function signed(theme, value, most) {
    return most === 0 ? theme.paper : Theme.at(value < 0 ? theme.negative : theme.positive, Math.abs(value) / most);
  }

  const largest = (x, map) => {
    let most = 0;
    for (let n = map; n < x.data.length; n += x.C) most = Math.max(most, Math.abs(x.data[n]));
    return most;
  };

  function image(app, panel) {
    const { model, theme, mode } = app, inside = (q, p) => q < model.image.H && p < model.image.W;
    const outside = mode === "dilated" ? undefined : theme.paper; // a dilated net pads nothing
    return {
      ...linked(app, panel),
      paint: (f, q, p) => (inside(q, p) ? pixel(model, theme, q, p) : outside),
      hatch: (f, q, p) => !inside(q, p),
      frames: windows(app),
      marks: numbers(panel, (f, q, p) => model.value(0, { f, q, p }, 0)),
    };
  }

  // The windows that use what is pointed at.
  function windows({ model, sel, mode }) {
    if (!sel || sel.stage === model.last || mode === "backward") return [];
    const [h, w] = model.sizes.fieldOfView, users = Geometry.linked(model.stages, model.last, sel, model.sizes.outputs);
    return users.length > 100 ? [] : users.map(([q, p]) => ({ q, p, h, w, thin: true }));
  }

  const numbers = (panel, value, room = ROOM) => {
    const marks = [];
    if (panel.cell >= room) panel.cells((f, q, p) => {
      const x = value(f, q, p);
      if (x !== null) marks.push({ f, q, p, text: Words.number(x) });
    });
    return marks;
  };

  function linked({ model, sel, mode, maps }, panel) {
    if (!sel) return {};
    if (mode === "backward") return routed(model, sel, maps[sel.stage], panel);
    const lit = cellsOf(model, panel.stage, Geometry.linked(model.stages, panel.stage, sel, panel.merged));
    const main = panel.stage <= sel.stage && (panel.stage > 0 || sel.stage === 0) ? lit[0] : null;
    return { lit, main, tiles: [...new Set(lit.map((at) => at.f))], veil: true };
  }

  // Backward, what is lit are the neighbours in the way of a delta: the winner in front, the windows won behind.
  function routed(model, sel, map, panel) {
    const { stage } = panel, at = Geometry.cellAt(model.stages[sel.stage].pools, sel.a, sel.b);
    let lit = [];
    if (stage === sel.stage) lit = [at];
    else if (stage === sel.stage - 1 && Twin.isPool(model.stages[sel.stage].layer)) {
      const { source, won } = model.window(sel.stage, at, map);
      lit = [{ f: source, q: won[0], p: won[1] }];
    } else if (stage === sel.stage + 1 && Twin.isPool(model.stages[stage].layer)) {
      lit = model.contributions(sel.stage, at, map).map(({ i, q, p }) => ({ f: i, q, p }));
    } else if (Math.abs(stage - sel.stage) === 1) {
      lit = cellsOf(model, stage, Geometry.linked(model.stages, stage, sel, model.mergedSize(stage)));
    }
    if (panel.flat) lit = lit.filter((cell) => panel.holds(cell));
    return { lit, main: lit.length === 1 ? lit[0] : null, tiles: [...new Set(lit.map((cell) => cell.f))], veil: false };
  }

  function storage(app, panel) {
    const { model, theme, mode, step } = app, { stage } = panel, map = app.maps[stage];
    if (mode === "backward") return gradient(app, panel);
    const look = { ...linked(app, panel), hatch: (f, q, p) => model.seesPadding(stage, f, q, p) };
    if (mode === "patch") {
      const counts = app.counts[stage], most = app.mostCounts;
      look.paint = (f, q, p) => {
        const n = counts.data[Twin.place(counts, f, q, p)];
        return n ? Theme.at(theme.heat, 0.2 + 0.8 * Math.sqrt(n / most)) : null;
      };
      look.marks = numbers(panel, (f, q, p) => counts.data[Twin.place(counts, f, q, p)] || null);
      look.veil = false;
      return look;
    }
    const there = (f) => Steps.exists(mode, step, stage, f);
    look.paint = (f, q, p) => {
      if (mode === "dilated" && model.seesPadding(stage, f, q, p)) return undefined;
      return there(f) ? tint(model, theme, stage, map, f, q, p) : null;
    };
    look.hatch = (f, q, p) => there(f) && model.seesPadding(stage, f, q, p);
    look.marks = numbers(panel, (f, q, p) => (there(f) ? model.value(stage, { f, q, p }, map) : null));
    if (mode === "fragments" && step?.f !== undefined) Object.assign(look, making(app, panel));
    return look;
  }

  const whole = ({ H, W }, f) => ({ f, q: 0, p: 0, h: H, w: W });

  // In the step that makes a fragment: the fragment, and the fragment or the pooling windows that it is made of.
  function making({ model, step, sel }, panel) {
    const { layer } = model.stages[step.stage], { stage } = panel;
    if (sel || step.stage === 0) return {};
    if (stage === step.stage) return { frames: [whole(panel, step.f)], tiles: [step.f] };
    if (stage !== step.stage - 1) return {};
    return { frames: sources(model, step, layer), tiles: [] };
  }

  function sources(model, { stage, f }, layer) {
    const { H, W } = model.x(stage - 1), made = model.x(stage), frames = [];
    if (!Twin.isPool(layer)) return [{ f, q: 0, p: 0, h: H, w: W }];
    const [kh, kw] = layer.k, j = f % (kh * kw), source = Math.floor(f / (kh * kw));
    for (let q = 0; q < made.H; q++) for (let p = 0; p < made.W; p++) {
      frames.push({ f: source, q: Math.floor(j / kw) + kh * q, p: j % kw + kw * p, h: kh, w: kw, thin: true });
    }
    return frames;
  }

  function gradient(app, panel) {
    const { model, theme, step } = app, { stage } = panel, map = app.maps[stage];
    const known = Steps.gradient(model, step, stage), most = known ? largest(model.dx(stage), map) : 0;
    const value = (f, q, p) => known.data[Twin.place(known, f, q, p) + map];
    const look = {
      ...linked(app, panel),
      paint: (f, q, p) => (known ? signed(theme, value(f, q, p), most) : null),
      hatch: (f, q, p) => model.seesPadding(stage, f, q, p),
      marks: known ? numbers(panel, (f, q, p) => value(f, q, p)) : [],
    };
    const ties = model.tied(stage, map);
    if (panel.cell < ROOM && ties.length < 60) look.marks = ties.map((at) => ({ ...at, text: "=" }));
    if (step.i === undefined) return look;
    if (stage === step.stage) Object.assign(look, { frames: [whole(panel, step.i)], tiles: [step.i] });
    if (stage === step.stage - 1) look.frames = winners(model, step, map);
    return look;
  }

  // The pixels to which the deltas of output fragment i go, those of 0 left out.
  function winners(model, { stage, i }, map) {
    const { layer, first } = model.stages[stage], y = model.x(stage), dy = model.dx(stage), frames = [];
    for (let s = 0; s < y.H; s++) for (let t = 0; t < y.W; t++) {
      if (dy.data[Twin.place(dy, i, s, t) + map] === 0) continue;
      const [q, p] = Twin.wonAt(y, model.run.winners[first], layer.k, i, s, t, map);
      frames.push({ f: Math.floor(i / (layer.k[0] * layer.k[1])), q, p, h: 1, w: 1, thin: true });
    }
    return frames;
  }

  function answer(app, panel) {
    const { model, theme, mode, step, maps } = app, { last } = model, map = maps[last];
    const place = (f, q, p) => Geometry.placeOf(panel.pools, f, q, p), look = linked(app, panel);
    const [U, V] = model.sizes.outputs, cut = (f, q, p) => { const [a, b] = place(f, q, p); return a >= U || b >= V; };
    look.hatch = cut;
    if (mode === "backward") {
      const most = largest(model.deltas, map);
      const delta = (f, q, p) => model.delta(...place(f, q, p), map);
      look.paint = (f, q, p) => (cut(f, q, p) ? theme.paper : signed(theme, delta(f, q, p), most));
      look.marks = numbers(panel, (f, q, p) => (cut(f, q, p) ? null : delta(f, q, p) || null), DIGIT);
      return look;
    }
    const [low, high] = model.scene.classes.length ? [0, 1] : model.ranges[last][map];
    const done = (u, v) => (mode === "patch" ? u * V + v <= app.at : !step || step.stage > last);
    const value = (f, q, p) => {
      const [u, v] = place(f, q, p);
      return u < U && v < V && done(u, v) ? model.answer(u, v, map) : null;
    };
    look.paint = (f, q, p) => {
      const x = value(f, q, p);
      if (mode === "dilated" && cut(f, q, p)) return undefined;
      return x === null ? null : Theme.at(hue(theme, panel.pools, f), 0.06 + 0.94 * (x - low) / (high - low || 1));
    };
    look.marks = numbers(panel, value);
    if (mode === "patch") look.veil = false;
    return look;
  }

  return { image, storage, answer };
})();
