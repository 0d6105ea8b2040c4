// What the page says of deltas on their way back: what a cell has collected, and the windows that it has won.
const Deltas = (() => {
  "use strict";

  // The output fragments of the pool behind a stage that have sent their deltas back after a step.
  const ended = (step, stage) => (step.stage === stage + 1 && step.i !== undefined ? step.i + 1 : Infinity);

  function who(model, { stage, a, b }, { f, q, p }) {
    if (stage === 0) return `Pixel ${Words.pair(a, b)}`;
    const where = stage === model.last ? "in front of the merge" : `behind ${model.stages[stage].word}`;
    return `Cell ${Words.pair(q, p)} of fragment ${f} ${where}`;
  }

  function collected({ model, step }, sel, at, map) {
    const { stage } = sel, known = Steps.gradient(model, step, stage), cell = who(model, sel, at);
    if (!known) return `${cell}: no delta has come this far yet.`;
    const value = Words.number(known.data[Twin.place(known, at.f, at.q, at.p) + map]), end = ended(step, stage);
    const won = model.contributions(stage, at, map, end);
    if (!won) return `${cell} has the delta <b>${value}</b>.`;
    if (!won.length) return `${cell} has won no window${end < Infinity ? " so far" : ""}: its delta is 0.`;
    const counted = won.filter(({ delta }) => delta !== 0), others = won.length - counted.length;
    const fragments = (some) => `fragment${some.length > 1 ? "s" : ""} ${Words.list(some.map(({ i }) => i))}`;
    if (!counted.length) return `${cell} won in ${fragments(won)}, whose deltas here are 0.`;
    const more = others ? ` (and in ${others} more, with deltas of 0)` : "";
    const sum = Words.sum(counted.map(({ delta }) => delta));
    const result = counted.length > 1 ? ` and adds up: ${sum} =` : ": its delta is";
    return `${cell} won in ${fragments(counted)}${more}${result} <b>${value}</b>.`;
  }

  function victories({ model, step }, { stage }, at, map) {
    return (model.contributions(stage, at, map, ended(step, stage)) ?? []).map(({ i, q, p, delta }) => {
      const { r, c } = Algorithms.origin(model.stages[stage + 1].layer, i);
      const maximum = Words.arithmetic(model, stage + 1, { f: i, q, p }, map);
      return [`fragment ${i}`, `offset ${Words.pair(r, c)}, cell ${Words.pair(q, p)}: ${maximum};
        delta <b>${Words.number(delta)}</b>`];
    });
  }

  return { collected, victories };
})();
