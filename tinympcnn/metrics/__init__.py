"""How good is a segmentation: pixels, segments, topology, and all of them in one report.

`pixels` and `thresholding` count pixels (any number of classes), `rand` compares segments, `warping` compares
topologies; the last two are the ISBI 2012 challenge's measures for membranes. `report` computes everything at
once, which is what `tinympcnn evaluate` prints. Read `pixels` first.
"""

from tinympcnn.metrics.pixels import (
    Scores,
    balanced_error,
    class_errors,
    confusion,
    iou,
    pixel_error,
    precision_recall_f1,
)
from tinympcnn.metrics.rand import VScore, VScores, rand_error, v_scores
from tinympcnn.metrics.report import evaluate, format_report
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep
from tinympcnn.metrics.thinning import segments, thin_borders
from tinympcnn.metrics.thresholding import BestThreshold, F1Error, best_threshold_error, f1_error
from tinympcnn.metrics.warping import WarpingErrors, warp, warping_error

__all__ = [
    "THRESHOLDS",
    "BestThreshold",
    "F1Error",
    "Scores",
    "Sweep",
    "VScore",
    "VScores",
    "WarpingErrors",
    "balanced_error",
    "best_threshold_error",
    "class_errors",
    "confusion",
    "evaluate",
    "f1_error",
    "format_report",
    "iou",
    "pixel_error",
    "precision_recall_f1",
    "rand_error",
    "segments",
    "thin_borders",
    "v_scores",
    "warp",
    "warping_error",
]
