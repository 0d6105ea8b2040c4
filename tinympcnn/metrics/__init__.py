"""How good is a segmentation or a decision: pixels, segments, topology, whole images, and a report.

`pixels` counts pixels (any number of classes), `rand` compares segments, `warping` compares topologies; the last two
are the ISBI 2012 challenge's measures for membranes. `report` computes all of these at once, which is what
`tinympcnn evaluate` prints. `roc` judges decisions about whole images, `classification` their classes, `objects` lists
of objects.
"""

from __future__ import annotations

from tinympcnn.metrics.classification import mcnemar, rejection_curve, top_error
from tinympcnn.metrics.pixels import (
    balanced_error,
    best_threshold_error,
    class_errors,
    confusion,
    f1_error,
    iou,
    pixel_error,
    precision_recall_f1,
)
from tinympcnn.metrics.rand import rand_error, segments, thin_borders, v_scores
from tinympcnn.metrics.report import evaluate, format_report
from tinympcnn.metrics.roc import balanced_pixel_error, decide, roc_curve
from tinympcnn.metrics.warping import warp, warping_error

__all__ = ["balanced_error", "best_threshold_error", "class_errors", "confusion", "f1_error", "iou"]
__all__ += ["pixel_error", "precision_recall_f1", "rand_error", "segments", "thin_borders", "v_scores"]
__all__ += ["balanced_pixel_error", "decide", "evaluate", "format_report", "roc_curve", "warp", "warping_error"]
__all__ += ["mcnemar", "rejection_curve", "top_error"]
