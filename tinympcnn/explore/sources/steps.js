// The four ways through the net, step by step: what a step does, what is there after it, and what it has cost so far.
const Steps = (() => {
  "use strict";

  // patch: one window a step. fragments: one fragment a step, and the merge. dilated: one storage a step.
  // backward: the deltas, the split, then one step for every C or FC and one for every output fragment of an MPF.
  function of(mode, model) {
    const stages = model.stages.map((_, s) => s).slice(1);
    if (mode === "patch") {
      const [rows, columns] = model.sizes.outputs;
      return Array.from({ length: rows * columns }, (_, n) => ({ u: Math.floor(n / columns), v: n % columns }));
    }
    if (mode === "fragments") {
      const parts = stages.flatMap((stage) => Array.from({ length: model.x(stage).F }, (_, f) => ({ stage, f })));
      return [{ stage: 0, f: 0 }, ...parts, { stage: model.last + 1 }];
    }
    if (mode === "dilated") return [0, ...stages, model.last + 1].map((stage) => ({ stage }));
    if (mode === "backward") {
      const parts = stages.reverse().flatMap((stage) => {
        if (!Twin.isPool(model.stages[stage].layer)) return [{ stage }];
        return Array.from({ length: model.x(stage).F }, (_, i) => ({ stage, i }));
      });
      return [{ stage: model.last + 2 }, { stage: model.last + 1 }, ...parts];
    }
    return [];
  }

  // Whether fragment f of a stage exists after a step forward; null stands for all steps done.
  function exists(mode, step, stage, f) {
    if (!step || stage === 0) return true;
    if (mode === "dilated") return stage <= step.stage;
    return stage < step.stage || (stage === step.stage && f <= step.f);
  }

  // The gradient of a stage as far as it is known after a step backward, or null.
  function gradient(model, step, stage) {
    const behind = stage + 1;
    if (step.stage < behind || (step.stage === behind && step.i === undefined)) return model.dx(stage);
    if (step.stage > behind) return null;
    const { layer, first } = model.stages[behind];
    return Twin.maxPoolFragmentBack(model.dx(behind), model.run.winners[first], model.x(stage), layer.k, step.i + 1);
  }

  // The multiplications up to and including step n.
  function cost(mode, model, steps, n) {
    if (mode === "patch") return (n + 1) * model.perWindow;
    if (mode === "dilated") return model.sum((s) => (s <= steps[n].stage ? model.dilatedCells(s) : 0));
    return model.sum((s) => {
      const { F, H, W } = model.x(s), { stage, f } = steps[n];
      return H * W * (s < stage ? F : s === stage ? f + 1 : 0);
    });
  }

  // How often each cell of each stage has been computed after windows 0 to n, one alone after the other.
  function recomputed(model, steps, n) {
    const counts = model.stages.map((_, s) => Twin.storage(model.x(s).F, model.x(s).H, model.x(s).W, 1));
    const limits = model.stages.map((_, s) => model.mergedSize(s));
    for (const { u, v } of steps.slice(0, n + 1)) counts.forEach((count, s) => {
      for (const [a, b] of Geometry.linked(model.stages, s, { stage: model.last, a: u, b: v }, limits[s])) {
        const { f, q, p } = Geometry.cellAt(model.stages[s].pools, a, b);
        count.data[Twin.place(count, f, q, p)] += 1;
      }
    });
    return counts;
  }

  return { of, exists, gradient, cost, recomputed };
})();
