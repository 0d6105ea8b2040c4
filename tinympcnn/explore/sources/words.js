// What the page says: sentences made of the numbers of the scene.
const Words = (() => {
  "use strict";
  const by = ([rows, columns]) => `${rows}\u00a0×\u00a0${columns}`;
  const pair = (a, b) => `(${a}, ${b})`;
  const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  const span = (from, n) => (n === 1 ? `${from}` : `${from} to ${from + n - 1}`);
  const code = (text) => `<code>${text}</code>`;
  const plain = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

  function number(x) {
    const short = Math.abs(x) < 5e-13 ? "0" : `${Number(x.toPrecision(3))}`;
    return short.replace("-", "−");
  }

  const sum = (numbers) => numbers.map(number).join(" + ").replaceAll("+ −", "− ");
  const list = (items) => (items.length > 1 ? `${items.slice(0, -1).join(", ")} and ${items.at(-1)}` : `${items[0]}`);

  function mode(name, model) {
    const { fieldOfView } = model.sizes, convolves = model.perWindow > 0;
    return {
      trace: `The net sees a window of ${by(fieldOfView)} pixels and gives one output. One pass over the whole image
        gives the outputs of all ${count(model.windows, "window")}. <b>Point at an output, a cell or a pixel.</b>
        Colours tell the fragments of the first pool apart; the slider moves them together.`,
      patch: `Each window alone, with plain max-pooling. ${convolves
        ? `Neighbours share most of their pixels, so the same cells are computed again and again: <b>the stronger the
          colour of a cell, the more often.</b>`
        : "One pool alone computes nothing twice; a convolution in front of it would."}`,
      fragments: `Each cell once. A convolution runs on every fragment alike (Algorithm 1). A pool makes
        <b>one fragment for each offset</b> (r, c) of its grid (Algorithm 3). At the end they interleave.`,
      dilated: `The same cells, each left at its place: <b>fragments that were never taken apart.</b> Behind a pool,
        neighbouring taps stand as far apart as the pools are wide.${convolves ? " The products are the same, but for the padding." : ""}`,
      backward: `Choose deltas: click outputs. Each goes back to the pixel that <b>won</b> its pooling window, and a
        pixel that won in several fragments <b>adds them up</b> (Algorithm 4). Of equal pixels, the first wins.`,
    }[name];
  }

  // Padding and crop, with their numbers.
  function sizes(model) {
    const { padded, outputs, K, merged, fieldOfView } = model.sizes, { H, W } = model.image;
    const [P, Q] = fieldOfView;
    const rule = `Rows: ${H} − ${P} + 1 = ${outputs[0]}, columns: ${W} − ${Q} + 1 = ${outputs[1]} outputs`;
    return padded[0] === H && padded[1] === W ? `${rule}. Both divide by the pools, ${by(K)}: nothing is padded.`
      : `${rule}. The pools need multiples of ${by(K)}: the image is padded to ${by(padded)} (hatched), and of
        ${by(merged)} outputs ${by(outputs)} are kept. No kept output sees the padding.`;
  }

  function storage(model, s, name) {
    const { word, K } = model.stages[s], x = model.x(s), dense = name === "dilated";
    if (s === 0) return name === "gradient" ? "the gradient of the image" : image(model, name);
    const { H, W } = dense ? model.dilated[model.stages[s].end] : x;
    const size = dense ? `${by([H, W])}, never split` : `${count(x.F, "fragment")} of ${by([H, W])}`;
    const before = model.stages[s - 1].K, apart = Math.max(...before) > 1 && Math.max(...windowOf(model, s)) > 1;
    return `${size}${dense && apart ? `, taps ${K[0] === K[1] ? before[0] : by(before)} apart` : ""}`;
  }
  function image({ image: { H, W }, sizes: { padded } }, name) {
    const alone = name === "dilated" || (padded[0] === H && padded[1] === W);
    return `${by([H, W])} pixels${alone ? "" : `, padded to ${by(padded)}`}`;
  }
  const windowOf = (model, s) => model.stages[s].layer.kernel ?? model.stages[s].layer.k ?? [1, 1];

  // One line for every pool on the way of a place to its fragment.
  function index({ f, r, c, kh, kw, i }) {
    return `${code("f*kh*kw + r*kw + c")} = ${f}·${kh}·${kw} + ${r}·${kw} + ${c} = <b>${i}</b>`;
  }

  // The way of one output (or of a cell, up to its storage) through all storages.
  function path(model, { stage, a, b }) {
    const rows = [];
    for (let s = 0; s <= stage; s++) {
      const { word, pools, layer } = model.stages[s], at = Geometry.cellAt(pools, a, b);
      const n = Geometry.view(model.stages, s, stage), here = `rows ${span(at.q, n[0])}, columns ${span(at.p, n[1])}`;
      let text = `fragment ${at.f}, ${n[0] * n[1] === 1 ? `cell ${pair(at.q, at.p)}` : here}`;
      if (s === 0) text = here;
      if (s && Twin.isPool(layer)) {
        const step = at.path[at.path.length - 1];
        text = `offset (r, c) = (${step.q} mod ${step.kh}, ${step.p} mod ${step.kw}) = ${pair(step.r, step.c)}<br>
          ${index(step)}: ${text}`;
      }
      rows.push([word, text]);
    }
    if (stage === model.last) rows.push(["merge", merging(model, stage, a, b)]);
    return rows;
  }

  // Where a cell stands in the merged map: row r1 + k1*(r2 + k2*q).
  function merging(model, stage, a, b) {
    const { f, q, p, path: steps } = Geometry.cellAt(model.stages[stage].pools, a, b);
    if (!steps.length) return `cell ${pair(q, p)} of fragment ${f} stays where it is`;
    const along = (offset, k, end) => steps.reduceRight((inner, step, n) =>
      `${step[offset]} + ${step[k]}·${n === steps.length - 1 ? inner : `(${inner})`}`, end);
    return `row ${along("r", "kh", q)} = <b>${a}</b>, column ${along("c", "kw", p)} = <b>${b}</b>`;
  }

  // The arithmetic behind one number: a maximum, or a sum of products.
  function arithmetic(model, stage, cell, map) {
    const { layer, word } = model.stages[stage], value = number(model.value(stage, cell, map));
    if (stage === 0) return "";
    if (Twin.isPool(layer)) {
      const { values, code: won, tie, won: at } = model.window(stage, cell, map);
      const list = values.map((v, n) => (n === won ? `<b>${number(v)}</b>` : number(v))).join(", ");
      return `max(${list}) = ${value}, won at ${pair(...at)}${tie ? ". A tie: the first in row-major order wins" : ""}`;
    }
    return `${layer.W ? product(model, stage, cell, map) : word} = ${value}`;
  }

  const factor = (x) => (x < 0 ? `(${number(x)})` : number(x));

  function product(model, stage, { f, q, p }, map) {
    const { layer, first, end } = model.stages[stage], x = model.run.xs[first], [kh, kw] = layer.kernel, terms = [];
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) for (let c = 0; c < x.C; c++) {
      const W = layer.W[((i * kw + j) * x.C + c) * layer.b.length + map];
      terms.push(`${number(W)}·${factor(x.data[Twin.place(x, f, q + i, p + j) + c])}`);
    }
    const shown = terms.length > 12 ? [...terms.slice(0, 4), `… ${terms.length - 4} more products`] : terms;
    const sum = `${number(layer.b[map])} + ${shown.join(" + ")}`.replaceAll("+ −", "− ");
    const activations = model.layers.slice(first + 1, end).map((after) => Geometry.word(after));
    return activations.reduce((inner, name) => `${name}(${inner})`, sum);
  }

  // What is pointed at, in a sentence or two.
  function pointed(model, sel, map, answerMap, mode) {
    const { stage, a, b } = sel, split = mode === "trace" || mode === "fragments";
    const at = Geometry.cellAt(model.stages[stage].pools, a, b);
    if (stage === model.last) return output(model, sel, at, answerMap, split);
    const place = split ? `${pair(at.q, at.p)} of fragment <b>${at.f}</b>` : pair(a, b);
    const what = stage ? `Cell ${place} behind ${model.stages[stage].word}` : `Pixel ${pair(a, b)}`;
    if (stage === 0 && (a >= model.image.H || b >= model.image.W)) return `${what} is padding. No kept output sees it.`;
    const users = Geometry.linked(model.stages, model.last, sel, model.sizes.outputs).length;
    const again = stage ? ": computed once here, and once for each of them patch by patch" : "";
    const used = users ? `${count(users, "window uses", "windows use")} it${again}.`
      : "No kept output uses it: it sees the padding.";
    return `${what} = <b>${number(model.value(stage, at, map))}</b>. ${used}`;
  }

  function output(model, { a, b }, { f, q, p }, map, split) {
    const [U, V] = model.sizes.outputs, [P, Q] = model.sizes.fieldOfView, name = model.scene.classes[map];
    if (a >= U || b >= V) return `Output ${pair(a, b)} sees the padding and is cropped.`;
    const value = `<b>${number(model.answer(a, b, map))}</b>`;
    const from = ` and comes from cell ${pair(q, p)} of fragment <b>${f}</b>`;
    return `Output ${pair(a, b)}${name ? `: ${plain(name)} with probability` : " ="} ${value}. It sees
      rows ${span(a, P)}, columns ${span(b, Q)} of the image${split ? from : ""}.`;
  }

  return { by, pair, count, span, plain, number, sum, list, mode, sizes, storage, path, arithmetic, pointed };
})();
