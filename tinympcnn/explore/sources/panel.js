// One canvas: a storage as tiles, one for each fragment, which can move together into the merged map.
class Panel {
  // `flat`: the panel is the image or the answer, which is one map of `size` and has no tiles.
  constructor(canvas, model, stage, size = null) {
    Object.assign(this, { canvas, model, stage, size, flat: size !== null, m: size ? 1 : 0, way: 0 });
    this.context = canvas.getContext("2d");
    this.pools = model.stages[stage].pools;
    const { F, H, W } = model.x(stage);
    [this.H, this.W] = [H, W];
    this.merged = size ?? model.mergedSize(stage);
    const tiles = Array.from({ length: F }, (_, f) => this.tile(f));
    this.tiles = tiles;
    this.grid = [Math.max(...tiles.map((t) => t.row)) + 1, Math.max(...tiles.map((t) => t.column)) + 1];
    this.byTile = new Map(tiles.map((t, f) => [`${t.row},${t.column}`, f]));
  }

  // The row and column of a fragment's tile: the fragments of one source stand together. `gaps` counts the gaps before
  // it by level: those between fragments of one source last.
  tile(f) {
    let row = 0, column = 0;
    const digits = [];
    for (const [kh, kw] of [...this.pools].reverse()) {
      const j = f % (kh * kw);
      digits.unshift([Math.floor(j / kw), j % kw, kh, kw]);
      f = Math.floor(f / (kh * kw));
    }
    let wide = 0, high = 0;
    digits.forEach(([r, c, kh, kw], level) => {
      const rest = digits.slice(level + 1).reduce((n, d) => [n[0] * d[2], n[1] * d[3]], [1, 1]);
      [row, column] = [row + r * rest[0], column + c * rest[1]];
      if (level < digits.length - 1) [high, wide] = [high + r, wide + c];
    });
    return { row, column, high, wide };
  }

  get gaps() {
    return this.flat || !this.pools.length ? { x: 0, y: 0, group: 0, label: 0 } : { x: 4, y: 12, group: 4, label: 12 };
  }

  extent() {
    const { x, y, group, label } = this.gaps, end = this.tiles[this.tiles.length - 1];
    const [rows, columns] = this.grid;
    return { width: (columns - 1) * x + end.wide * group, height: (rows - 1) * y + end.high * group + label };
  }

  // The largest cell for a width, and the size of the canvas for a cell.
  fit(width) {
    const columns = this.flat ? this.merged[1] : Math.max(this.W * this.grid[1], this.merged[1]);
    return (width - this.extent().width - 2) / columns;
  }

  resize(width, cell) {
    this.cell = cell;
    this.tall = this.flat ? this.merged[0] * cell : this.H * this.grid[0] * cell + this.extent().height;
    const height = Math.max(this.tall, this.merged[0] * cell) + 2, ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const wide = this.W * this.grid[1] * cell + this.extent().width;
    this.left = [1, this.flat ? 1 : 1 + (wide - this.merged[1] * cell) / 2];
    this.top = [1, (height - this.merged[0] * cell) / 2];
  }

  corner(f) {
    const { row, column, high, wide } = this.tiles[f], { x, y, group, label } = this.gaps;
    return [this.left[0] + column * (this.W * this.cell + x) + wide * group,
      this.top[0] + row * (this.H * this.cell + y) + high * group + label];
  }

  // The upper left corner of a cell on the canvas, on its way from its tile (m = 0) to the merged map (m = 1).
  at(f, q, p) {
    const [a, b] = Geometry.placeOf(this.pools, f, q, p), s = this.cell;
    const x1 = this.left[1] + b * s, y1 = this.top[1] + a * s;
    if (this.m === 1) return [x1, y1];
    const [x, y] = this.corner(f), x0 = x + p * s, y0 = y + q * s;
    return [x0 + (x1 - x0) * this.m, y0 + (y1 - y0) * this.m];
  }

  cells(visit) {
    for (let f = 0; f < this.tiles.length; f++) for (let q = 0; q < this.H; q++) for (let p = 0; p < this.W; p++) {
      if (!this.flat || this.holds({ f, q, p })) visit(f, q, p);
    }
  }

  // Whether the place of a cell lies in the map of the panel.
  holds({ f, q, p }) {
    return Geometry.placeOf(this.pools, f, q, p).every((n, axis) => n < this.merged[axis]);
  }

  hit(x, y) {
    let found = null;
    this.cells((f, q, p) => {
      const [left, top] = this.at(f, q, p);
      if (x >= left && x < left + this.cell && y >= top && y < top + this.cell) found = { f, q, p };
    });
    return found;
  }

  // The cell one step further on the screen, or null at the rim.
  neighbour({ f, q, p }, down, right) {
    if (this.flat || this.m > 0.5) {
      const [a, b] = Geometry.placeOf(this.pools, f, q, p), next = [a + down, b + right];
      const inside = next.every((n, axis) => n >= 0 && n < this.merged[axis]);
      return inside ? Geometry.cellAt(this.pools, ...next) : null;
    }
    const row = this.tiles[f].row * this.H + q + down, column = this.tiles[f].column * this.W + p + right;
    const next = this.byTile.get(`${Math.floor(row / this.H)},${Math.floor(column / this.W)}`);
    return next === undefined ? null : { f: next, q: row % this.H, p: column % this.W };
  }

  // look: paint(f, q, p) gives a colour, null for a cell to come, undefined for none at all; `lit` cells are outlined,
  // `main` is one of them; `frames` lie around cells, `marks` are texts in cells, the labels of `tiles` stand out.
  draw(look, theme) {
    const c = this.context, s = this.cell, inner = s > 7 ? s - 0.75 : s + 0.3;
    c.clearRect(0, 0, this.width, this.height);
    this.colours = new Map();
    const lit = new Set((look.lit ?? []).map((at) => `${at.f},${at.q},${at.p}`));
    this.cells((f, q, p) => {
      const [x, y] = this.at(f, q, p), colour = look.paint(f, q, p);
      if (colour === undefined) return;
      c.globalAlpha = lit.size && look.veil && !lit.has(`${f},${q},${p}`) ? 0.6 : 1;
      c.fillStyle = colour ?? theme.paper;
      if (colour === null) c.globalAlpha *= 0.55;
      this.colours.set(`${f},${q},${p}`, mixed(theme.halo, c.fillStyle, c.globalAlpha));
      c.fillRect(x, y, inner, inner);
      if (look.hatch?.(f, q, p)) this.hatch(x, y, theme);
    });
    c.globalAlpha = 1;
    this.labels(look, theme);
    for (const frame of look.frames ?? []) this.frame(frame, theme);
    if (lit.size) this.outline(look.lit, lit, theme);
    if (look.main && !look.marks?.length) this.spot(look.main, theme);
    for (const mark of look.marks ?? []) this.mark(mark);
  }

  hatch(x, y, theme) {
    const c = this.context, s = this.cell;
    c.strokeStyle = theme.quiet;
    c.lineWidth = 0.8;
    c.beginPath();
    c.moveTo(x + 0.5, y + s - 1.2);
    c.lineTo(x + s - 1.2, y + 0.5);
    c.stroke();
  }

  labels(look, theme) {
    if (this.flat || this.m > 0.4 || !this.pools.length) return;
    const c = this.context, strong = new Set(look.tiles ?? []);
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    this.tiles.forEach((_, f) => {
      const [x, y] = this.corner(f);
      c.fillStyle = strong.has(f) ? theme.accent : theme.quiet;
      c.font = `${strong.has(f) ? "700 " : ""}9px ui-monospace, Menlo, Consolas, monospace`;
      c.fillText(f, x, y - 2);
    });
  }

  stroke(theme, width, colour = theme.accent) {
    const c = this.context;
    c.strokeStyle = theme.halo;
    c.lineWidth = width + 2;
    c.stroke();
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.stroke();
  }

  // A frame around cells of one tile, or of the merged map; `thin` ones leave their neighbours room.
  frame({ f = 0, q, p, h, w, thin, colour }, theme) {
    const c = this.context, s = this.cell, inset = thin ? 1.5 : 0;
    const [x, y] = this.flat ? [this.left[1] + p * s, this.top[1] + q * s] : this.at(f, q, p);
    c.beginPath();
    c.rect(x + inset, y + inset, w * s - 2 * inset - 0.75, h * s - 2 * inset - 0.75);
    if (thin) {
      c.strokeStyle = colour ?? theme.accent;
      c.lineWidth = 1;
      c.globalAlpha = 0.75;
      c.stroke();
      c.globalAlpha = 1;
    } else this.stroke(theme, 2, colour);
  }

  // The outline of all lit cells: every side that no lit cell shares.
  outline(cells, lit, theme) {
    const c = this.context, s = this.cell - 0.4;
    const sides = [[-1, 0, 0, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0, -1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 1]];
    const moving = this.m > 0 && this.m < 1;
    c.beginPath();
    for (const at of cells) {
      const [x, y] = this.at(at.f, at.q, at.p);
      for (const [down, right, x0, y0, x1, y1] of sides) {
        const next = moving ? null : this.neighbour(at, down, right);
        if (next && lit.has(`${next.f},${next.q},${next.p}`) && (this.m === 1 || next.f === at.f)) continue;
        c.moveTo(x + x0 * s, y + y0 * s);
        c.lineTo(x + x1 * s, y + y1 * s);
      }
    }
    c.lineCap = "square";
    this.stroke(theme, 1.75);
  }

  spot({ f, q, p }, theme) {
    const c = this.context, [x, y] = this.at(f, q, p), s = this.cell;
    c.beginPath();
    c.arc(x + s / 2, y + s / 2, Math.max(2, s * 0.22), 0, 7);
    c.fillStyle = theme.accent;
    c.fill();
    c.lineWidth = 1.5;
    c.strokeStyle = theme.halo;
    c.stroke();
  }

  // A short text in a cell, such as a delta or the sign of a tie.
  mark({ f, q, p, text }) {
    const c = this.context, [x, y] = this.at(f, q, p), s = this.cell;
    const height = Math.min(13, s * 0.62, (s * 1.5) / Math.max(1, text.length));
    if (height < 5) return;
    c.font = `600 ${height}px ui-monospace, Menlo, Consolas, monospace`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillStyle = dark(this.colours.get(`${f},${q},${p}`)) ? "#fff" : "#16191d";
    c.fillText(text, x + s / 2, y + s / 2 + 0.5);
  }
}
