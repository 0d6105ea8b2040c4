// The texts around the panels, written anew whenever something changes.
const Speech = (() => {
  "use strict";
  const written = {};
  const put = (id, html) => {
    if (written[id] !== html) $(id).innerHTML = written[id] = html; // what has not changed is not read aloud again
  };

  function all(app) {
    put("says", Words.mode(app.mode, app.model) + (app.mode === "trace" && app.model.scene.says ? ` <span class="quiet">${Words.plain(app.model.scene.says)}</span>` : ""));
    transport(app);
    for (const panel of app.panels) panel.sub.textContent = caption(app, panel);
    readout(app);
    hands(app);
    put("meter", app.mode === "backward" ? "" : meter(app));
    put("sizes", `<h2>Sizes</h2><p>${Words.sizes(app.model)}</p>`);
    put("algorithm", Algorithms.of(app));
  }

  function transport(app) {
    const trace = app.mode === "trace", slider = $("slider");
    document.querySelector("#transport .buttons").hidden = trace;
    put("from", trace ? "fragments" : "");
    put("to", trace ? "one map" : "");
    slider.max = trace ? 100 : app.steps.length - 1;
    slider.value = trace ? Math.round(100 * app.mixed) : app.at;
    slider.setAttribute("aria-label", trace ? "From fragments to one map" : "Step");
    $("play").textContent = app.playing ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", app.playing ? "Pause" : "Play");
    put("step", trace ? "" : stepText(app));
    $("step").hidden = trace;
    slider.setAttribute("aria-valuetext", trace ? `${slider.value} of 100` : $("step").textContent);
  }

  function stepText({ mode, model, step, at, steps }) {
    const here = `<span class="quiet">${at + 1} of ${steps.length}</span> `;
    const cost = mode === "backward" || !model.perWindow ? ""
      : ` <b>${Words.count(Steps.cost(mode, model, steps, at), "multiplication")}</b> so far.`;
    return here + { patch, fragments, dilated, backward }[mode](model, step) + cost;
  }

  function patch(model, { u, v }) {
    const [P, Q] = model.sizes.fieldOfView;
    return `Window ${Words.pair(u, v)}: rows ${Words.span(u, P)}, columns ${Words.span(v, Q)}` +
      (model.perWindow ? `; ${model.perWindow.toLocaleString("en")} multiplications each.` : ".");
  }

  function fragments(model, { stage, f }) {
    if (stage === 0) return "The image is a storage of one fragment.";
    if (stage > model.last) return "Merge: every number goes to its place in the answer. Nothing is computed any more.";
    const { layer, word } = model.stages[stage];
    if (!Twin.isPool(layer)) return `${word} on fragment <b>${f}</b>: the same filters as on every fragment.`;
    const { source, r, c } = Algorithms.origin(layer, f), [kh, kw] = layer.k;
    return `${word}, source ${source}, offset (r, c) = ${Words.pair(r, c)}: the maxima of <code>f[${r}:, ${c}:]</code> are
      fragment ${source}·${kh}·${kw} + ${r}·${kw} + ${c} = <b>${f}</b>.`;
  }

  function dilated(model, { stage }) {
    if (stage === 0) return "The image, without padding.";
    if (stage > model.last) return "The last map is the answer: nothing to merge, nothing to crop.";
    const { layer, word } = model.stages[stage], { K } = model.stages[stage - 1];
    const apart = K[0] === K[1] ? K[0] : Words.by(K);
    if (Twin.isPool(layer)) return `${word} becomes a maximum at <b>every</b> place, over pixels ${apart} apart.`.replace("over pixels 1 apart", "over neighbours");
    return Math.max(...(layer.kernel ?? [1])) > 1 ? `${word} with taps <b>${apart}</b> apart.` : `${word} at every place.`;
  }

  function backward(model, { stage, i }) {
    if (stage > model.last + 1) return "The deltas dy of the outputs. Outputs that were cropped bring zero.";
    if (stage > model.last) return "Split: every delta goes to the fragment that its output came from.";
    const { layer, word } = model.stages[stage], { F } = model.x(stage);
    if (i === undefined) {
      return `${word}: every cell sends its delta back through the weights it came by` +
        (layer.W ? `; dW is the <b>sum</b> over ${Words.count(F, "fragment")} (Algorithm 2).` : ".");
    }
    const { source, n } = Algorithms.origin(layer, i);
    return `${word}, fragment ${i}: s = ${i} // ${n} = <b>${source}</b>. Its deltas are added to their winners in fragment ${source}.`;
  }

  function caption(app, panel) {
    const { model, mode } = app, { classes } = model.scene;
    if (panel.kind === "image") return Words.storage(model, 0, mode) + (model.edited ? ", edited" : "");
    if (panel.kind === "gradient") return Words.storage(model, 0, "gradient");
    if (panel.kind === "storage") return Words.storage(model, panel.stage, mode);
    const size = Words.by(model.sizes.outputs);
    return mode === "backward" ? `dy, ${size}` : `${size} ${classes.length ? "probabilities" : "outputs"}`;
  }

  function readout(app) {
    const { model, sel, maps, mode } = app;
    if (!sel) {
      put("pointed", mode === "backward" ? "Point at a pixel in front of a pool, or at a delta." : "Point at a cell to see where it comes from and who uses it.");
      put("arithmetic", "");
      put("path", "");
      return;
    }
    const at = Geometry.cellAt(model.stages[sel.stage].pools, sel.a, sel.b), map = maps[sel.stage];
    put("pointed", mode === "backward" ? collected(app, sel, at, map) : Words.pointed(model, sel, map, maps[model.last], mode));
    put("arithmetic", Words.arithmetic(model, sel.stage, at, map));
    const rows = mode === "backward" ? victories(app, sel, at, map)
      : ["trace", "fragments"].includes(mode) && sel.stage > 0 ? Words.path(model, sel) : [];
    put("path", rows.map(([word, text]) => `<li><code>${word}</code><span>${text}</span></li>`).join(""));
  }

  // What a cell has collected from the fragments so far.
  function collected({ model, step }, sel, at, map) {
    const { stage } = sel, known = Steps.gradient(model, step, stage);
    const who = stage ? `Cell ${Words.pair(at.q, at.p)} of fragment ${at.f} ${stage === model.last ? "in front of the merge" : `behind ${model.stages[stage].word}`}` : `Pixel ${Words.pair(sel.a, sel.b)}`;
    if (!known) return `${who}: no delta has come this far yet.`;
    const value = Words.number(known.data[Twin.place(known, at.f, at.q, at.p) + map]);
    const end = step.stage === stage + 1 && step.i !== undefined ? step.i + 1 : Infinity;
    const parts = model.contributions(stage, at, map, end);
    if (!parts) return `${who} has the delta <b>${value}</b>.`;
    if (!parts.length) return `${who} has won no window${end < Infinity ? " so far" : ""}: its delta is 0.`;
    const counted = parts.filter(({ delta }) => delta !== 0), sum = counted.map(({ delta }) => Words.number(delta)).join(" + ").replaceAll("+ −", "− ");
    const where = (some) => some.length > 1 ? `fragments ${some.slice(0, -1).map(({ i }) => i).join(", ")} and ${some.at(-1).i}` : `fragment ${some[0].i}`;
    if (!counted.length) return `${who} won in ${where(parts)}, whose deltas here are 0.`;
    const others = parts.length - counted.length, more = others ? ` (and in ${others} more, with deltas of 0)` : "";
    return `${who} won in ${where(counted)}${more}${counted.length > 1 ? ` and adds up: ${sum} = <b>${value}</b>` : `: its delta is <b>${value}</b>`}.`;
  }

  // The windows that a cell has won, one line each.
  function victories({ model, step }, sel, at, map) {
    const { stage } = sel, behind = stage + 1, end = step.stage === behind && step.i !== undefined ? step.i + 1 : Infinity;
    return (model.contributions(stage, at, map, end) ?? []).map(({ i, q, p, delta }) => {
      const { r, c } = Algorithms.origin(model.stages[behind].layer, i);
      return [`fragment ${i}`, `offset ${Words.pair(r, c)}, cell ${Words.pair(q, p)}: ${Words.arithmetic(model, behind, { f: i, q, p }, map)};
        delta <b>${Words.number(delta)}</b>`];
    });
  }

  function hands(app) {
    const { model, sel, mode, pinned } = app, pixel = sel?.stage === 0 && sel.a < model.image.H && sel.b < model.image.W;
    const delta = mode === "backward" && sel?.stage === model.last && model.delta(sel.a, sel.b, app.maps[model.last]) !== null;
    $("hold").setAttribute("aria-pressed", pinned);
    $("hold").textContent = pinned ? "Let go" : "Hold";
    $("hold").disabled = !sel;
    $("value").hidden = !pixel && !delta;
    $("tie").hidden = !pixel || model.firstPool < 0;
    $("undo").hidden = !model.edited;
    $("presets").hidden = mode !== "backward";
    if (!pixel && !delta) return;
    const [name, input] = $("value").children, value = pixel ? model.value(0, { f: 0, q: sel.a, p: sel.b }, 0) : model.delta(sel.a, sel.b, app.maps[model.last]);
    const maps = model.x(sel.stage).C, which = maps > 1 ? `, ${pixel ? 0 : app.maps[sel.stage]}` : "";
    name.textContent = `${pixel ? "x" : "dy"}[${sel.a}, ${sel.b}${which}] =`;
    if (document.activeElement !== input) input.value = Number(value.toPrecision(6));
  }

  function meter({ mode, model, steps, at }) {
    const { totals } = model, most = Math.max(...Object.values(totals));
    if (!most) return "";
    const done = ["patch", "fragments", "dilated"].includes(mode) ? Steps.cost(mode, model, steps, at) : null;
    const rows = Object.entries(totals).map(([name, total]) => {
      const now = name === mode, sofar = now && done !== null ? done : total, share = (n) => `${(100 * n / most).toFixed(2)}%`;
      const ratio = totals.patch / total;
      const text = now && done < total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : total.toLocaleString("en");
      return `<div class="row${now ? " now" : ""}"><span>${MODES[name]}</span><div class="bar"><i style="width:${share(total)}"></i>
        ${now ? `<i style="width:${share(sofar)}"></i>` : ""}</div>
        <small>${text}${name === "patch" ? "" : ` · ${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)} times fewer`}</small></div>`;
    });
    return `<h2>Multiplications</h2>${rows.join("")}`;
  }

  return { all };
})();
