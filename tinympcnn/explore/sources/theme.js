// The colours: read from the style sheet, light or dark, and mixed into ramps from the paper to a hue.
const LEVELS = 32;
const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#a89a00", "#7a6cc4", "#8a6d4f"];

class Theme {
  constructor() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    Object.assign(this, { paper: read("cell"), ink: read("ink"), quiet: read("quiet"), accent: read("accent"),
      halo: read("paper"), line: read("line") });
    this.greys = this.ramp("#0d0d0d", "#fafafa");
    this.neutral = this.ramp(this.paper, read("neutral"));
    this.heat = this.ramp(this.paper, read("heat"));
    this.hues = HUES.map((hue) => this.ramp(this.paper, mixed(hue, "#ffffff", Number(read("lift")))));
    this.positive = this.ramp(this.paper, read("positive"));
    this.negative = this.ramp(this.paper, read("negative"));
  }

  ramp(from, to) {
    return Array.from({ length: LEVELS + 1 }, (_, level) => mixed(from, to, level / LEVELS));
  }

  static at(ramp, t) {
    return ramp[Math.round(Math.min(1, Math.max(0, t || 0)) * LEVELS)];
  }
}

// Red, green and blue of a colour that is given as #rrggbb or rgb(...).
const partsOf = (colour) =>
  colour[0] === "#" ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) : colour.match(/\d+/g).map(Number);

function mixed(from, to, share) {
  const [one, other] = [from, to].map(partsOf);
  return `rgb(${one.map((part, i) => Math.round(part + (other[i] - part) * share)).join(",")})`;
}

// Whether white is the better ink on a colour.
function dark(colour = "#ffffff") {
  const parts = partsOf(colour);
  return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] < 128;
}
