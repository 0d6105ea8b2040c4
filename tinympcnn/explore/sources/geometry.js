// Where things are: which cells an output sees, which outputs use a cell, and the number of a fragment.
//
// Every cell of every storage has a place (a, b) in the merged map of its storage. In these places all is simple: cells
// of storage m that are neighbours inside a fragment stand K_m apart, and K_m is the product of the pools so far.
const Geometry = (() => {
  "use strict";
  const AXES = [0, 1];

  const windowOf = (layer) => layer.kernel ?? layer.k ?? [1, 1];
  const stepOf = (layer) => layer.k ?? [1, 1];
  const size = ([rows, columns]) => `${rows}x${columns}`;
  const WORDS = { Tanh: "tanh", Logistic: "logistic", Relu: "relu" };

  // The layer in the notation of specs, such as C3x3x8, MPF2x2 and FC2.
  function word(layer) {
    if (Twin.isPool(layer)) return `MPF${size(layer.k)}`;
    if (!Twin.isConv(layer)) return WORDS[layer.kind];
    if (layer.kind === "Conv") return `C${size(layer.kernel)}x${layer.b.length}`;
    return `FC${size(layer.kernel) === "1x1" ? "" : `${size(layer.kernel)}x`}${layer.b.length}`;
  }

  // The storages that are shown: the image, and the output of every C, FC and MPF with the activations behind it.
  // K: pools so far; seen: pixels that a cell sees; end: which of the xs of Twin.forward the storage is.
  function stagesOf(layers) {
    const stages = [{ word: "image", first: -1, end: 0, pools: [], K: [1, 1], seen: [1, 1] }];
    layers.forEach((layer, l) => {
      const before = stages[stages.length - 1];
      if (windowOf(layer) === layer.kernel || Twin.isPool(layer) || stages.length === 1) {
        stages.push({
          word: word(layer), layer, first: l, end: l + 1,
          pools: Twin.isPool(layer) ? [...before.pools, layer.k] : before.pools,
          K: AXES.map((axis) => before.K[axis] * stepOf(layer)[axis]),
          seen: AXES.map((axis) => before.seen[axis] + (windowOf(layer)[axis] - 1) * before.K[axis]),
        });
      } else Object.assign(before, { word: `${before.word} ${word(layer)}`, end: l + 1 });
    });
    return stages;
  }

  // How many cells of storage m, along each axis, one cell of storage l sees.
  function view(stages, m, l) {
    return AXES.map((axis) => {
      let n = 1;
      for (let s = l; s > m; s--) n = (n - 1) * stepOf(stages[s].layer)[axis] + windowOf(stages[s].layer)[axis];
      return n;
    });
  }

  // The sizes of a net and an image: the number of outputs is padded to a multiple of the product K of all pools.
  function sizesOf(stages, image) {
    const { K, seen } = stages[stages.length - 1];
    const outputs = AXES.map((axis) => image[axis] - seen[axis] + 1);
    const padded = AXES.map((axis) => Math.ceil(outputs[axis] / K[axis]) * K[axis] + seen[axis] - 1);
    return { fieldOfView: seen, K, outputs, padded, merged: AXES.map((axis) => padded[axis] - seen[axis] + 1) };
  }

  // The fragment and the cell (q, p) of a place (a, b), with the offsets (r, c) on the way there.
  function cellAt(pools, a, b) {
    let f = 0, [q, p] = [a, b];
    const path = pools.map(([kh, kw]) => {
      const at = { f, q, p, r: q % kh, c: p % kw, kh, kw };
      f = f * kh * kw + at.r * kw + at.c;
      [q, p] = [Math.floor(q / kh), Math.floor(p / kw)];
      return { ...at, i: f };
    });
    return { f, q, p, path };
  }

  // The place (a, b) of cell (q, p) of fragment f: row r1 + k1*(r2 + k2*(... + q)).
  const placeOf = (pools, f, q, p) => pools.reduceRight(([f, a, b], [kh, kw]) => {
    const j = f % (kh * kw);
    return [Math.floor(f / (kh * kw)), Math.floor(j / kw) + kh * a, j % kw + kw * b];
  }, [f, q, p]).slice(1);

  // The places in storage m that a cell of storage l at (a, b) sees, or, behind l, those that use the cell.
  // `limit` is the size of the merged map of storage m.
  function linked(stages, m, { stage: l, a, b }, limit) {
    const down = m <= l, n = down ? view(stages, m, l) : view(stages, l, m);
    const K = stages[Math.min(m, l)].K, sign = down ? 1 : -1, found = [];
    for (let i = 0; i < n[0]; i++) for (let j = 0; j < n[1]; j++) {
      const at = [a + sign * K[0] * i, b + sign * K[1] * j];
      if (at[0] >= 0 && at[1] >= 0 && at[0] < limit[0] && at[1] < limit[1]) found.push(at);
    }
    return found;
  }

  return { word, stagesOf, sizesOf, view, cellAt, placeOf, linked };
})();
