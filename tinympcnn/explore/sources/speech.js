// The texts around the panels, written anew whenever something changes.
const Speech = (() => {
  "use strict";
  const written = {};
  const put = (id, html) => {
    if (written[id] !== html) $(id).innerHTML = written[id] = html; // what has not changed is not read aloud again
  };

  function all(app) {
    const { says } = app.model.scene, about = `<span class="quiet">${Words.plain(says)}</span>`;
    put("says", `${Words.mode(app.mode, app.model)} ${app.mode === "trace" ? about : ""}`);
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
    return `${word}, source ${source}, offset (r, c) = ${Words.pair(r, c)}: the maxima of <code>f[${r}:, ${c}:]</code>
      are fragment ${source}·${kh}·${kw} + ${r}·${kw} + ${c} = <b>${f}</b>.`;
  }

  function dilated(model, { stage }) {
    if (stage === 0) return "The image, without padding.";
    if (stage > model.last) return "The last map is the answer: nothing to merge, nothing to crop.";
    const { layer, word } = model.stages[stage], { K } = model.stages[stage - 1];
    const apart = `<b>${K[0] === K[1] ? K[0] : Words.by(K)}</b> apart`;
    if (Twin.isPool(layer)) return `${word} becomes a maximum at every place, over pixels ${apart}.`;
    return Math.max(...(layer.kernel ?? [1])) > 1 ? `${word} with taps ${apart}.` : `${word} at every place.`;
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
    return `${word}, fragment ${i}: s = ${i} // ${n} = <b>${source}</b>. Its deltas are added to their winners in
      fragment ${source}.`;
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
    let [said, arithmetic, rows] = ["Point at a cell to see where it comes from and who uses it.", "", []];
    if (sel) {
      const at = Geometry.cellAt(model.stages[sel.stage].pools, sel.a, sel.b), map = maps[sel.stage];
      arithmetic = Words.arithmetic(model, sel.stage, at, map);
      if (mode === "backward") {
        [said, rows] = [Deltas.collected(app, sel, at, map), Deltas.victories(app, sel, at, map)];
      } else {
        said = Words.pointed(model, sel, map, maps[model.last], mode);
        if (sel.stage > 0 && (mode === "trace" || mode === "fragments")) rows = Words.path(model, sel);
      }
    }
    put("pointed", said);
    put("arithmetic", arithmetic);
    put("path", rows.map(([word, text]) => `<li><code>${word}</code><span>${text}</span></li>`).join(""));
  }

  function hands(app) {
    const { model, sel, mode, pinned } = app, { H, W } = model.image;
    const pixel = sel?.stage === 0 && sel.a < H && sel.b < W;
    const map = pixel ? 0 : app.maps[model.last];
    const delta = mode === "backward" && sel?.stage === model.last ? model.delta(sel.a, sel.b, map) : null;
    $("hold").setAttribute("aria-pressed", pinned);
    $("hold").textContent = pinned ? "Let go" : "Hold";
    $("hold").disabled = !sel;
    $("value").hidden = !pixel && delta === null;
    $("tie").hidden = !pixel || model.firstPool < 0;
    $("undo").hidden = !model.edited;
    $("presets").hidden = mode !== "backward";
    if ($("value").hidden) return;
    const [name, input] = $("value").children, value = pixel ? model.value(0, { f: 0, q: sel.a, p: sel.b }, 0) : delta;
    name.textContent = `${pixel ? "x" : "dy"}[${sel.a}, ${sel.b}${model.x(sel.stage).C > 1 ? `, ${map}` : ""}] =`;
    if (document.activeElement !== input) input.value = Number(value.toPrecision(6));
  }

  function meter({ mode, model, steps, at }) {
    const { totals } = model, most = Math.max(...Object.values(totals)), number = (n) => n.toLocaleString("en");
    if (!most) return "";
    const bar = (n) => `<i style="width:${(100 * n / most).toFixed(2)}%"></i>`;
    const rows = Object.entries(totals).map(([name, total]) => {
      const now = name === mode, done = now ? Steps.cost(mode, model, steps, at) : total, ratio = totals.patch / total;
      const fewer = name === "patch" ? "" : ` · ${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)} times fewer`;
      return `<div class="row${now ? " now" : ""}"><span>${MODES[name]}</span>
        <div class="bar">${bar(total)}${now ? bar(done) : ""}</div>
        <small>${done < total ? `${number(done)} of ` : ""}${number(total)}${fewer}</small></div>`;
    });
    return `<h2>Multiplications</h2>${rows.join("")}`;
  }

  return { all };
})();
