"""How good is a segmentation or a decision: pixels, segments, topology, whole images, and a report.

`pixels` and `thresholding` count pixels (any number of classes), `rand` compares segments, `warping` compares
topologies; the last two are the ISBI 2012 challenge's measures for membranes. `report` computes all of these at
once, which is what `tinympcnn evaluate` prints. `roc` judges decisions about whole images.
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
from tinympcnn.metrics.roc import Decisions, Roc, balanced_pixel_error, decide, roc_curve
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep
from tinympcnn.metrics.thinning import segments, thin_borders
from tinympcnn.metrics.thresholding import BestThreshold, F1Error, best_threshold_error, f1_error
from tinympcnn.metrics.warping import WarpingErrors, warp, warping_error

__all__ = [
    "THRESHOLDS",
    "BestThreshold",
    "Decisions",
    "F1Error",
    "Roc",
    "Scores",
    "Sweep",
    "VScore",
    "VScores",
    "WarpingErrors",
    "balanced_error",
    "balanced_pixel_error",
    "best_threshold_error",
    "class_errors",
    "confusion",
    "decide",
    "evaluate",
    "f1_error",
    "format_report",
    "iou",
    "pixel_error",
    "precision_recall_f1",
    "rand_error",
    "roc_curve",
    "segments",
    "thin_borders",
    "v_scores",
    "warp",
    "warping_error",
]
