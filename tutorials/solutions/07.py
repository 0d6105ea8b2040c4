"""Solutions of tutorial 07, and typical wrong answers."""

import math

from course.grading import Wrong


def operations(n, k, in_maps, out_maps):
    """Return multiplications and additions of one convolution."""
    return 2 * (n - k + 1) ** 2 * k**2 * in_maps * out_maps


def alignments(pools):
    """Return the number of pooling grids in the plane."""
    return math.prod(k * k for k in pools)


WRONG = {
    "additions forgotten": Wrong(
        "operations", lambda n, k, a, b: operations(n, k, a, b) // 2, says="an addition comes with"
    ),
    "output as large as input": Wrong(
        "operations", lambda n, k, a, b: 2 * n * n * k * k * a * b, says="n - k + 1 rows"
    ),
    "one axis only": Wrong("alignments", math.prod, says="that is one axis"),
    "added, not multiplied": Wrong("alignments", lambda pools: sum(k * k for k in pools), says="they multiply"),
}
