// One scene at work: its image, which may be edited, its deltas, and every number that follows from them.
class Model {
  constructor(scene) {
    this.scene = scene;
    this.layers = scene.layers;
    this.image = this.restored();
    this.stages = Geometry.stagesOf(this.layers);
    this.last = this.stages.length - 1;
    this.sizes = Geometry.sizesOf(this.stages, [this.image.H, this.image.W]);
    this.forward();
    this.deltas = Twin.storage(1, this.run.y.H, this.run.y.W, this.run.y.C);
    this.backward();
  }

  restored() {
    return { ...this.scene.image, data: Float64Array.from(this.scene.image.data) };
  }

  forward() {
    this.run = Twin.forward(this.layers, this.image, this.sizes.padded, this.sizes.outputs);
    this.dilated = Twin.dilated(this.layers, this.image);
    this.ranges = this.stages.map((_, s) => this.range(s));
    this.ties = this.stages.map(() => []);
    this.back = null;
  }

  backward() {
    this.back = Twin.backward(this.layers, this.run, this.deltas);
  }

  edit(row, column, map, value) {
    this.image.data[Twin.place(this.image, 0, row, column) + map] = value;
    this.forward();
    this.backward();
  }

  // Pixels made equal: two neighbours if a pool reads the image, or all that one pooled cell sees.
  makeTie(row, column) {
    const { image, stages, firstPool } = this, value = (q, p) => image.data[Twin.place(image, 0, q, p)];
    if (firstPool === 1) {
      const near = [[row, column + 1], [row, column - 1], [row + 1, column], [row - 1, column]];
      const inside = near.filter(([q, p]) => q >= 0 && p >= 0 && q < image.H && p < image.W);
      return this.edit(row, column, 0, Math.max(...inside.map(([q, p]) => value(q, p))));
    }
    const [h, w] = stages[firstPool].seen, same = value(row, column);
    const top = Math.min(row, image.H - h), left = Math.min(column, image.W - w);
    for (let q = top; q < top + h; q++) {
      for (let p = left; p < left + w; p++) image.data[Twin.place(image, 0, q, p)] = same;
    }
    return this.edit(row, column, 0, same);
  }

  undoEdits() {
    this.image = this.restored();
    this.forward();
    this.backward();
  }

  get edited() {
    return this.image.data.some((value, i) => value !== this.scene.image.data[i]);
  }

  get firstPool() {
    return this.stages.findIndex(({ layer }) => layer && Twin.isPool(layer));
  }

  // The delta of output (u, v), or null where the outputs are cropped.
  delta(u, v, map) {
    return u < this.deltas.H && v < this.deltas.W ? this.deltas.data[Twin.place(this.deltas, 0, u, v) + map] : null;
  }

  setDelta(u, v, map, value) {
    this.deltas.data[Twin.place(this.deltas, 0, u, v) + map] = value;
    this.backward();
  }

  // New deltas, from the number of an output in the order of the fragments, and its place beside the middle.
  setDeltas(map, rule) {
    const { outputs: [U, V] } = this.sizes, { pools } = this.stages[this.last], x = this.x(this.last), order = [];
    for (let u = 0; u < U; u++) for (let v = 0; v < V; v++) {
      const { f, q, p } = Geometry.cellAt(pools, u, v);
      order.push({ u, v, at: Twin.place(x, f, q, p) });
    }
    this.deltas.data.fill(0);
    order.sort((one, other) => one.at - other.at).forEach(({ u, v }, n) => {
      this.deltas.data[Twin.place(this.deltas, 0, u, v) + map] = rule(n, u - (U >> 1), v - (V >> 1));
    });
    this.backward();
  }

  // The place in front of the first pool that collects the most deltas, or null.
  busiest() {
    const pool = this.firstPool, wins = new Map();
    if (pool < 0) return null;
    const { layer: { k }, first } = this.stages[pool], { pools } = this.stages[pool - 1], dy = this.dx(pool);
    this.cells(pool, (i, q, p) => {
      if (dy.data[Twin.place(dy, i, q, p)] === 0) return;
      const won = Twin.wonAt(dy, this.run.winners[first], k, i, q, p, 0);
      const at = Geometry.placeOf(pools, Math.floor(i / (k[0] * k[1])), ...won).join();
      wins.set(at, (wins.get(at) ?? 0) + 1);
    });
    if (!wins.size) return null;
    const [at] = [...wins].reduce((best, one) => (one[1] > best[1] ? one : best)), [a, b] = at.split(",").map(Number);
    return { stage: pool - 1, a, b };
  }

  // The storage of a stage, its gradient, and the size of its merged map.
  x(stage) { return this.run.xs[this.stages[stage].end]; }
  dx(stage) { return this.back.dxs[this.stages[stage].end]; }
  mergedSize(stage) {
    const { H, W } = this.x(stage), { K } = this.stages[stage];
    return [H * K[0], W * K[1]];
  }

  // The smallest and the largest number of every map of a storage, cells that see padding left out.
  range(stage) {
    const x = this.x(stage), found = Array.from({ length: x.C }, () => [Infinity, -Infinity]);
    this.cells(stage, (f, q, p) => {
      if (this.seesPadding(stage, f, q, p)) return;
      found.forEach((pair, c) => {
        const value = x.data[Twin.place(x, f, q, p) + c];
        pair[0] = Math.min(pair[0], value);
        pair[1] = Math.max(pair[1], value);
      });
    });
    return found;
  }

  cells(stage, visit) {
    const { F, H, W } = this.x(stage);
    for (let f = 0; f < F; f++) for (let q = 0; q < H; q++) for (let p = 0; p < W; p++) visit(f, q, p);
  }

  seesPadding(stage, f, q, p) {
    const { pools, seen } = this.stages[stage], [a, b] = Geometry.placeOf(pools, f, q, p);
    return a + seen[0] > this.image.H || b + seen[1] > this.image.W;
  }

  value(stage, { f, q, p }, map) {
    const x = this.x(stage);
    return x.data[Twin.place(x, f, q, p) + map];
  }

  // What the answer shows of output (u, v): the probability of a class, or the score where the net has no classes.
  answer(u, v, map) {
    const { y } = this.run, from = Twin.place(y, 0, u, v), scores = y.data.subarray(from, from + y.C);
    if (!this.scene.classes.length) return scores[map];
    const most = Math.max(...scores), parts = [...scores].map((score) => Math.exp(score - most));
    return parts[map] / parts.reduce((sum, part) => sum + part);
  }

  // The numbers of a pooling window in row-major order, the place of the winner, and whether another one is as large.
  window(stage, { f, q, p }, map) {
    const { layer: { k: [kh, kw] } } = this.stages[stage], x = this.x(stage - 1);
    const source = Math.floor(f / (kh * kw)), j = f % (kh * kw);
    const top = Math.floor(j / kw) + kh * q, left = j % kw + kw * p;
    const values = Array.from({ length: kh * kw }, (_, code) =>
      x.data[Twin.place(x, source, top + Math.floor(code / kw), left + code % kw) + map]);
    const code = Twin.winner(x, source, top, left, map, [kh, kw]);
    const tie = values.filter((value) => value === values[code]).length > 1;
    const at = (n) => [top + Math.floor(n / kw), left + n % kw];
    return { source, values, code, tie, won: at(code) };
  }

  // The cells of a pool's storage in whose windows several numbers are the largest.
  tied(stage, map) {
    if (!stage || !Twin.isPool(this.stages[stage].layer)) return [];
    if (!this.ties[stage][map]) {
      const found = this.ties[stage][map] = [];
      this.cells(stage, (f, q, p) => {
        const tie = this.window(stage, { f, q, p }, map).tie && !this.seesPadding(stage, f, q, p);
        if (tie) found.push({ f, q, p });
      });
    }
    return this.ties[stage][map];
  }

  // The deltas that a cell gets back from the pool behind it, by output fragment, before fragment `end`.
  contributions(stage, { f, q, p }, map, end = Infinity) {
    const behind = this.stages[stage + 1];
    if (!behind || !Twin.isPool(behind.layer)) return null;
    const { k } = behind.layer, y = this.x(stage + 1), dy = this.dx(stage + 1), n = k[0] * k[1], found = [];
    this.cells(stage + 1, (i, s, t) => {
      if (Math.floor(i / n) !== f || i >= end) return;
      const [row, column] = Twin.wonAt(y, this.run.winners[behind.first], k, i, s, t, map);
      if (row === q && column === p) found.push({ i, q: s, p: t, delta: dy.data[Twin.place(dy, i, s, t) + map] });
    });
    return found;
  }

  // Multiplications: of a stage for one cell, of one window alone, of all fragments, and of the dilated net.
  perCell(stage) { return stage ? Twin.multiplications(this.stages[stage].layer, 1) : 0; }
  sum(cells) { return this.stages.reduce((total, _, s) => total + this.perCell(s) * cells(s), 0); }
  get perWindow() { return this.sum((s) => Geometry.view(this.stages, s, this.last).reduce((a, b) => a * b)); }
  get windows() { return this.sizes.outputs[0] * this.sizes.outputs[1]; }
  get totals() {
    return {
      patch: this.windows * this.perWindow,
      fragments: this.sum((s) => this.x(s).F * this.x(s).H * this.x(s).W),
      dilated: this.sum((s) => this.dilatedCells(s)),
    };
  }
  dilatedCells(stage) {
    const { H, W } = this.dilated[this.stages[stage].end];
    return H * W;
  }
}
