// The arithmetic of the library in plain JavaScript, in the letters of tinympcnn/nn/layers; a test holds it to NumPy's.
//
// A storage is { F, H, W, C, data }: fragments, rows, columns, maps, and one Float64Array, maps last.
// A layer is { kind, kernel, W, b } for Conv and FullyConnected, { kind, k } for MaxPoolFragment, { kind } otherwise.
const Twin = (() => {
  "use strict";

  const storage = (F, H, W, C, data = new Float64Array(F * H * W * C)) => ({ F, H, W, C, data });
  const place = (x, f, q, p) => ((f * x.H + q) * x.W + p) * x.C;
  const isConv = (layer) => layer.W !== undefined;
  const isPool = (layer) => layer.k !== undefined;

  // y[f, q, p] = b + sum_ij x[f, q + i, p + j] @ W[i, j]; the taps of a dilated convolution stand `rate` pixels apart.
  function conv(x, { kernel: [kh, kw], W, b }, rate = [1, 1]) {
    const maps = b.length, y = storage(x.F, x.H - rate[0] * (kh - 1), x.W - rate[1] * (kw - 1), maps);
    for (let f = 0; f < y.F; f++) for (let q = 0; q < y.H; q++) for (let p = 0; p < y.W; p++) {
      const out = place(y, f, q, p);
      for (let m = 0; m < maps; m++) y.data[out + m] = b[m];
      for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
        const from = place(x, f, q + rate[0] * i, p + rate[1] * j);
        for (let c = 0; c < x.C; c++) {
          const taps = ((i * kw + j) * x.C + c) * maps;
          for (let m = 0; m < maps; m++) y.data[out + m] += x.data[from + c] * W[taps + m];
        }
      }
    }
    return y;
  }

  // Algorithms 1 and 2: every delta goes back through the weights that it came by; dW and db are sums over fragments.
  function convBack(x, { kernel: [kh, kw], W, b }, dy) {
    const maps = b.length, dx = storage(x.F, x.H, x.W, x.C);
    const dW = new Float64Array(W.length), db = new Float64Array(maps);
    for (let f = 0; f < dy.F; f++) for (let q = 0; q < dy.H; q++) for (let p = 0; p < dy.W; p++) {
      const out = place(dy, f, q, p);
      for (let m = 0; m < maps; m++) db[m] += dy.data[out + m];
      for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
        const from = place(x, f, q + i, p + j);
        for (let c = 0; c < x.C; c++) {
          const taps = ((i * kw + j) * x.C + c) * maps;
          for (let m = 0; m < maps; m++) {
            dW[taps + m] += x.data[from + c] * dy.data[out + m];
            dx.data[from + c] += W[taps + m] * dy.data[out + m];
          }
        }
      }
    }
    return { dx, grads: { W: dW, b: db } };
  }

  // The place i*kw + j of the largest value of a window; of equal values the first in row-major order wins.
  function winner(x, f, top, left, c, [kh, kw], rate = [1, 1]) {
    let best = -Infinity, code = 0;
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      const value = x.data[place(x, f, top + rate[0] * i, left + rate[1] * j) + c];
      if (value > best) [best, code] = [value, i * kw + j];
    }
    return code;
  }

  // Algorithm 3. `offsets` are all (r, c) of the pool for an image net, and (0, 0) alone for a patch net.
  function pool(x, k, offsets) {
    const [kh, kw] = k, n = offsets.length;
    const h = Math.floor((x.H - offsets[n - 1][0]) / kh), w = Math.floor((x.W - offsets[n - 1][1]) / kw);
    const y = storage(x.F * n, h, w, x.C), winners = new Uint8Array(y.data.length);
    for (let f = 0; f < x.F; f++) offsets.forEach(([r, c], j) => {
      for (let q = 0; q < h; q++) for (let p = 0; p < w; p++) for (let m = 0; m < x.C; m++) {
        const top = r + kh * q, left = c + kw * p, to = place(y, f * n + j, q, p) + m;
        const code = winners[to] = winner(x, f, top, left, m, k);
        y.data[to] = x.data[place(x, f, top + Math.floor(code / kw), left + code % kw) + m];
      }
    });
    return { y, winners };
  }
  const offsetsOf = ([kh, kw]) => Array.from({ length: kh * kw }, (_, j) => [Math.floor(j / kw), j % kw]);
  const maxPoolFragment = (x, k) => pool(x, k, offsetsOf(k));
  const maxPool = (x, k) => pool(x, k, [[0, 0]]).y;

  // The row and the column, in the source fragment, of the pixel that won cell (q, p) of fragment i, map m.
  function wonAt(y, winners, [kh, kw], i, q, p, m) {
    const code = winners[place(y, i, q, p) + m], j = i % (kh * kw);
    return [Math.floor(j / kw) + kh * q + Math.floor(code / kw), j % kw + kw * p + code % kw];
  }

  // Algorithm 4 for the output fragments before `end`: f_s = f_s + MP_bkp(delta_i, mpIDXS_i), s = i // (kh*kw).
  function maxPoolFragmentBack(dy, winners, x, k, end = dy.F) {
    const dx = storage(x.F, x.H, x.W, x.C);
    for (let i = 0; i < end; i++) {
      const s = Math.floor(i / (k[0] * k[1]));
      for (let q = 0; q < dy.H; q++) for (let p = 0; p < dy.W; p++) for (let m = 0; m < dy.C; m++) {
        const [row, column] = wonAt(dy, winners, k, i, q, p, m);
        dx.data[place(dx, s, row, column) + m] += dy.data[place(dy, i, q, p) + m];
      }
    }
    return dx;
  }

  // The maximum at stride 1 whose taps stand `rate` pixels apart.
  function dilatedMax(x, k, rate) {
    const y = storage(x.F, x.H - rate[0] * (k[0] - 1), x.W - rate[1] * (k[1] - 1), x.C);
    for (let f = 0; f < y.F; f++) for (let q = 0; q < y.H; q++) for (let p = 0; p < y.W; p++) {
      for (let m = 0; m < y.C; m++) {
        const code = winner(x, f, q, p, m, k, rate), i = Math.floor(code / k[1]), j = code % k[1];
        y.data[place(y, f, q, p) + m] = x.data[place(x, f, q + rate[0] * i, p + rate[1] * j) + m];
      }
    }
    return y;
  }

  const ACTIVATIONS = {
    Tanh: { value: Math.tanh, slope: (y) => 1 - y * y },
    Logistic: { value: (x) => (1 + Math.tanh(x / 2)) / 2, slope: (y) => y * (1 - y) },
    Relu: { value: (x) => Math.max(x, 0), slope: (y) => (y > 0 ? 1 : 0) },
  };
  const each = (x, value) => storage(x.F, x.H, x.W, x.C, x.data.map(value));

  // Calls visit(place in the storage, place in the dense maps) for every number of a storage that one pool split.
  function interleave(x, [kh, kw], dense, visit) {
    for (let i = 0; i < x.F; i++) for (let q = 0; q < x.H; q++) for (let p = 0; p < x.W; p++) {
      const j = i % (kh * kw), row = Math.floor(j / kw) + kh * q, column = j % kw + kw * p;
      const from = place(x, i, q, p), to = place(dense, Math.floor(i / (kh * kw)), row, column);
      for (let c = 0; c < x.C; c++) visit(from + c, to + c);
    }
  }
  const merge = (x, pools) => pools.reduceRight((y, k) => {
    const dense = storage(y.F / (k[0] * k[1]), y.H * k[0], y.W * k[1], y.C);
    interleave(y, k, dense, (from, to) => { dense.data[to] = y.data[from]; });
    return dense;
  }, x);
  const split = (x, pools) => pools.reduce((dense, k) => {
    const y = storage(dense.F * k[0] * k[1], dense.H / k[0], dense.W / k[1], dense.C);
    interleave(y, k, dense, (to, from) => { y.data[to] = dense.data[from]; });
    return y;
  }, x);

  // The rows and columns from (top, left); those beyond the image are zero.
  function resized(x, H, W, top = 0, left = 0) {
    const y = storage(x.F, H, W, x.C);
    for (let f = 0; f < x.F; f++) for (let q = 0; q < Math.min(H, x.H - top); q++) {
      const row = Math.min(W, x.W - left) * x.C, from = place(x, f, top + q, left);
      y.data.set(x.data.subarray(from, from + row), place(y, f, q, 0));
    }
    return y;
  }

  const poolsOf = (layers) => layers.filter(isPool).map((layer) => layer.k);

  // The image net: xs[l] is the input of layer l, and xs[l + 1] its output; y are the scores, cropped to `outputs`.
  function forward(layers, image, padded, outputs) {
    const xs = [resized(image, ...padded)], winners = [];
    layers.forEach((layer, l) => {
      if (isPool(layer)) {
        const pooled = maxPoolFragment(xs[l], layer.k);
        winners[l] = pooled.winners;
        xs.push(pooled.y);
      } else xs.push(isConv(layer) ? conv(xs[l], layer) : each(xs[l], ACTIVATIONS[layer.kind].value));
    });
    const dense = merge(xs[layers.length], poolsOf(layers));
    return { xs, winners, dense, y: resized(dense, ...outputs) };
  }

  // The way back: dxs[l] is the gradient of xs[l]; outputs that were cropped bring zero.
  function backward(layers, run, dy) {
    const dxs = [], grads = [];
    dxs[layers.length] = split(resized(dy, run.dense.H, run.dense.W), poolsOf(layers));
    for (let l = layers.length - 1; l >= 0; l--) {
      const layer = layers[l], x = run.xs[l], y = run.xs[l + 1], delta = dxs[l + 1];
      if (isConv(layer)) ({ dx: dxs[l], grads: grads[l] } = convBack(x, layer, delta));
      else if (isPool(layer)) dxs[l] = maxPoolFragmentBack(delta, run.winners[l], x, layer.k);
      else dxs[l] = each(delta, (d, i) => d * ACTIVATIONS[layer.kind].slope(y.data[i]));
    }
    return { dxs, grads };
  }

  // The patch net on one window: plain max-pooling, one answer.
  const patch = (layers, window) => layers.reduce((x, layer) => {
    if (isPool(layer)) return maxPool(x, layer.k);
    return isConv(layer) ? conv(x, layer) : each(x, ACTIVATIONS[layer.kind].value);
  }, window);

  // The dilated net on the whole image, without padding and fragments: every output of every layer, in its place.
  function dilated(layers, image) {
    let rate = [1, 1];
    const xs = [image];
    for (const layer of layers) {
      const x = xs[xs.length - 1];
      if (isConv(layer)) xs.push(conv(x, layer, rate));
      else if (isPool(layer)) {
        xs.push(dilatedMax(x, layer.k, rate));
        rate = [rate[0] * layer.k[0], rate[1] * layer.k[1]];
      } else xs.push(each(x, ACTIVATIONS[layer.kind].value));
    }
    return xs;
  }

  // The multiplications of a layer whose output has `cells` cells.
  const multiplications = (layer, cells) => (isConv(layer) ? cells * layer.W.length : 0);

  return { storage, place, isConv, isPool, forward, backward, patch, dilated, merge, split, resized, winner, wonAt,
    maxPoolFragmentBack, multiplications };
})();
