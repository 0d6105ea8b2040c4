"""How good is a segmentation: pixels, segments, topology, and all of them in one report.

`pixels` and `thresholding` count pixels (any number of classes), `rand` compares segments, `warping` compares
topologies; the last two are the ISBI 2012 challenge's measures for membranes. `report` computes everything at
once, which is what `tinympcnn evaluate` prints. `classification` is for whole images. Read `pixels` first.
"""

from .classification import Rejection, mcnemar, rejection_curve, top_error
from .pixels import (
    Scores,
    balanced_error,
    class_errors,
    confusion,
    iou,
    pixel_error,
    precision_recall_f1,
)
from .rand import VScore, VScores, rand_error, v_scores
from .report import evaluate, format_report
from .sweep import THRESHOLDS, Sweep
from .thinning import segments, thin_borders
from .thresholding import BestThreshold, F1Error, best_threshold_error, f1_error
from .warping import WarpingErrors, warp, warping_error

__all__ = [
    "THRESHOLDS",
    "BestThreshold",
    "F1Error",
    "Rejection",
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
    "mcnemar",
    "pixel_error",
    "precision_recall_f1",
    "rand_error",
    "rejection_curve",
    "segments",
    "thin_borders",
    "top_error",
    "v_scores",
    "warp",
    "warping_error",
]
