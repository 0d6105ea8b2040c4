// The paper's Algorithms 1 to 4 as they are meant, with the numbers of the step and the line where it stands.
const Algorithms = (() => {
  "use strict";

  const listing = (title, lines, now) => `<h2>${title}</h2><ol>${lines.map((line, n) =>
    `<li${n === now ? ' class="now"' : ""}>${line}</li>`).join("")}</ol>`;

  const aside = (line, now) => `${line.padEnd(44)}${now}`;

  // The source fragment and the offset of fragment i of a pool.
  function origin({ k: [kh, kw] }, i) {
    const n = kh * kw, j = i % n;
    return { n, j, source: Math.floor(i / n), r: Math.floor(j / kw), c: j % kw };
  }

  function of({ mode, model, step }) {
    const stage = step && model.stages[step.stage];
    if (!["fragments", "backward"].includes(mode) || !stage?.layer) return "";
    const pool = Twin.isPool(stage.layer);
    if (mode === "fragments") return pool ? third(stage.layer, step.f) : first(stage.word, step.f);
    return pool ? fourth(stage.layer, step.i) : second(model, step.stage);
  }

  const first = (word, f) =>
    listing(`Algorithm 1 · ${word}`, ["for i in fragments of F_in:", `    F_out = F_out U fwd(f_${f})`], 1);

  function third(layer, f) {
    const { n, j, source, r, c } = origin(layer, f);
    return listing("Algorithm 3", [
      "F_out = {}",
      aside("for i in fragments of F_in:", `i = ${source}`),
      aside(`    for j in 0 ... ${n - 1}:`, `j = ${j}`),
      `        (r, c) = ind2sub(${j}) = (${r}, ${c})`,
      `        a, b = MP.fwd(f_${source}[${r}:, ${c}:], P)`,
      "        F_out = F_out U a",
      "        mpIDXS = mpIDXS U b",
    ], 4);
  }

  // The gradient of the biases is the shortest sum over fragments: each gives the sum of its deltas.
  function second(model, s) {
    const { word, first: l, layer } = model.stages[s];
    if (!layer.W) return "";
    const delta = model.back.dxs[l + 1], parts = [];
    for (let f = 0; f < delta.F; f++) {
      let sum = 0;
      for (let n = Twin.place(delta, f, 0, 0); n < Twin.place(delta, f + 1, 0, 0); n += delta.C) sum += delta.data[n];
      if (sum !== 0) parts.push(sum);
    }
    const total = parts.length > 1 ? ` = ${Words.number(model.back.grads[l].b[0])}` : "";
    const sum = Words.sum(parts.slice(0, 6)) + (parts.length > 6 ? " + …" : "") + total;
    return listing(`Algorithm 2 · ${word}`, ["g = 0", "for i in fragments:", "    g = g + grad(f_i, delta_i)"], 2) +
      `<p>So dW and db are sums over the fragments: <code>db[0] = ${sum || 0}</code></p>`;
  }

  function fourth(layer, i) {
    const { n, source } = origin(layer, i);
    return listing("Algorithm 4", [
      "f_s = 0 for every source s",
      aside("for i in fragments of F_out:", `i = ${i}`),
      `    s = findSourceFragment(${i}) = ${i} // ${n} = ${source}`,
      `    f_${source} = f_${source} + MP_bkp(delta_${i}, mpIDXS_${i})`,
    ], 3);
  }

  return { of, origin };
})();
