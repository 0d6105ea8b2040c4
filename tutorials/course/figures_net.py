"""The figures of a whole net, in tutorials 04 to 06: the chain of layers, first weights, descent and its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course.style import INK, arrow, cells, figure, told
from tinympcnn import Layer

__all__ = ["by_heart", "chain", "descent", "first_weights", "net_chain", "two_in_one"]

MINUS = "\N{MINUS SIGN}"


def chain(
    layers: Sequence[str], forward: Sequence[str], backward: Sequence[str], below: Sequence[str] | None = None
) -> Figure:
    """Draw layers in a row: what goes forward above them, the gradients that come back below them.

    Parameters
    ----------
    layers : sequence of str
        The names of the layers, n of them, each on a line or two.
    forward, backward : sequence of str
        What stands at the n + 1 arrows: at the input, between the layers, and at the loss.
    below : sequence of str, optional
        What every layer keeps for itself, such as the gradients of its parameters.
    """
    n, below = len(layers), below or [""] * len(layers)
    fig, axes = figure(height=1.75 if not any(below) else 2.05)
    ax: Axes = axes[0, 0]
    for i, name in enumerate((*layers, "loss")):
        ink = INK[1] if i == n else INK[0]
        ax.add_patch(FancyBboxPatch((i, 0), 0.52, 0.9, "round,pad=0.03", fc=ink.fill, ec=ink.edge, lw=1.4))
        ax.text(i + 0.26, 0.45, name, ha="center", va="center", size=9)
        ax.text(i + 0.26, -0.22, "" if i == n else below[i], ha="center", va="top", size=9, color=INK[1].edge)
        arrow(ax, (0.7, i - 0.42), (0.7, i - 0.05))
        ax.text(i - 0.24, 1.0, forward[i], ha="center", va="bottom", size=9)
        if backward[i]:
            arrow(ax, (0.2, i - 0.05), (0.2, i - 0.42), INK[1])
            ax.text(i - 0.24, -0.02, backward[i], ha="center", va="top", size=9, color=INK[1].edge)
    ax.set(xlim=(-0.62, n + 0.6), ylim=(-0.62 if any(below) else -0.35, 1.4))
    ax.axis("off")
    names = ", ".join(" ".join(name.split()) for name in (*layers, "loss"))
    ways = "; ".join(" ".join(f"{a} and {b}".split()) if b else a for a, b in zip(forward, backward, strict=True))
    kept = f" The layers keep {', '.join(filter(None, below))}." if any(below) else ""
    words = f"Boxes in a row: {names}. Arrows lead from left to right, and others back from right to left. "
    return told(fig, f"{words}At the arrows, forward and back: {ways}.{kept}".replace("\n", " "))


def net_chain(layers: Sequence[Layer], ys: Sequence[np.ndarray]) -> Figure:
    """Draw a net as a `chain`, with the sizes of what goes from layer to layer, `ys`, and which layers have weights."""
    names = [type(layer).__name__.replace("FullyCon", "Fully\ncon").replace("nected", "n.") for layer in layers]
    names = [name.replace("Your", "Your\n") for name in names]
    sizes = [" ".join(str(n) for n in y.shape[1:]) for y in ys]
    kept = ["dW, db" if layer.params else "" for layer in layers]
    return chain(names, [f"x {sizes[0]}", *sizes[1:]], ["dx", *["dy"] * (len(layers) - 1), "ds"], kept)


def two_in_one(first: np.ndarray, second: np.ndarray, both: np.ndarray) -> Figure:
    """Draw two kernels, and the one kernel that does what both do in a row."""
    fig, axes = figure(1, 3, height=2.3, width_ratios=(len(first), len(second), len(both)))
    kernels = {"first kernel": first, "second kernel": second, "both in a row: one kernel": both}
    for ax, ink, (title, W) in zip(axes[0], INK, kernels.items(), strict=False):
        cells(ax, W, dict.fromkeys(np.ndindex(W.shape), ink), title)
        ax.set_ylim(len(both) + 0.1, -0.1)
    return told(
        fig,
        f"Three matrices: the first kernel of {len(first)} by {len(first)}, the second of {len(second)} by "
        f"{len(second)}, and the one of {len(both)} by {len(both)} that does the same as both in a row.",
    )


def first_weights(sizes: Mapping[str, Sequence[float]], slopes: Mapping[str, float]) -> Figure:
    """Draw how large the numbers behind each layer are, for first weights of several sizes, and the slope of tanh."""
    fig, axes = figure(1, 2, height=2.7, width_ratios=(1.7, 1))
    ax, bars = axes[0]
    for place, (ink, (name, values)) in enumerate(zip(INK, sizes.items(), strict=False)):
        ax.plot(range(len(values)), values, ls=ink.line, marker=ink.marker, color=ink.edge, label=name)
        bars.bar(place, slopes[name], color=ink.fill, edgecolor=ink.edge, hatch=ink.hatch)
        bars.annotate(f"{slopes[name]:.2f}", (place, slopes[name]), (0, 3), textcoords="offset points", ha="center")
    ax.set(yscale="log", xlabel="layers passed", ylabel="standard deviation", ylim=(None, 2))
    ax.legend(frameon=False)
    bars.set(title="mean slope of the last tanh", ylim=(0, 1.15))
    bars.set_xticks(range(len(sizes)), [name.split(":")[0].replace(" / ", "\n/ ") for name in sizes])
    ends = "; ".join(f"{name}, {values[-1]:.2g} and {slopes[name]:.2f}" for name, values in sizes.items())
    return told(
        fig,
        "Left, the standard deviation of the numbers that go through a net, against the number of layers passed, on a "
        "logarithmic axis; it starts at 1. Right, the mean slope of the last tanh as bars. The ends and the slopes: "
        f"{ends}.",
    )


def descent(curves: Mapping[str, Sequence[float]], paths: Mapping[str, Sequence[float]]) -> Figure:
    """Draw a parabola with the steps of gradient descent, one path each, and loss curves; equal names look equal."""
    fig, axes = figure(1, 2, height=3.0, width_ratios=(1.2, 1.4))
    theta, inks = np.linspace(-2.1, 2.1, 99), dict(zip(dict.fromkeys([*paths, *curves]), INK, strict=False))
    axes[0, 0].plot(theta, 2 * theta**2, color="black", lw=1)
    for name, values in paths.items():
        at, ink = np.asarray(values), inks[name]
        axes[0, 0].plot(at, 2 * at**2, ls=ink.line, marker=ink.marker, color=ink.edge, lw=1, label=name)
    axes[0, 0].set(xlabel="theta", ylabel="loss", title="one parameter", ylim=(-0.2, 13))
    for name, values in curves.items():
        axes[0, 1].plot(values, ls=inks[name].line, color=inks[name].edge, label=name)
    axes[0, 1].set(xlabel="update", ylim=(0, None), title="the net")
    axes[0, 0].legend(frameon=False, loc="upper center")
    axes[0, 1].legend(frameon=False, loc="upper right")
    ends = ", ".join(f"{values[-1]:.3f} ({name})" for name, values in curves.items())
    return told(
        fig,
        "Left, a parabola. With a small rate the points walk down into its valley; with a large one the next points "
        "lie on the other side and higher each time; with gradients that are kept they swing from side to side. Right, "
        f"the loss of the net against updates, one curve for each rule; it starts near 0.65 and ends at {ends}.",
    )


def by_heart(trained: Sequence[float], held: Sequence[float], guess: float) -> Figure:
    """Draw the loss on the windows that a net trains on, and on others, against updates."""
    fig, axes = figure(height=2.7, width=6.2)
    ax, best = axes[0, 0], int(np.argmin(held))
    ax.axhline(guess, color="black", lw=1, ls=INK[5].line)
    ax.text(0.06 * len(held), guess, "equal scores: ln 2", ha="left", va="bottom", size=9)
    for ink, values, name in zip(INK, (trained, held), ("24 windows it trains on", "500 others"), strict=False):
        ax.plot(values, ls=ink.line, color=ink.edge, label=name)
    ax.plot(best, held[best], INK[1].marker, color=INK[1].edge)
    ax.annotate("here it should have stopped", (best, held[best]), (22, -13), textcoords="offset points", size=9)
    ax.set(xlabel="update", ylabel="loss", ylim=(0, None))
    ax.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.38))
    return told(
        fig,
        f"Two loss curves against updates. Both start near 0.7. On the 24 windows that the net trains on, the loss "
        f"falls to {trained[-1]:.3f}. On 500 other windows it falls to {held[best]:.2f} at update {best}, turns, and "
        f"rises to {held[-1]:.2f}.",
    )
