"""All measures of a stack in one dictionary, and that as a table: what `tinympcnn evaluate` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError, UsageError
from tinympcnn.metrics import pixels
from tinympcnn.metrics.rand import rand_error, v_scores
from tinympcnn.metrics.sweep import Sweep, check_probabilities, images_and_labels
from tinympcnn.metrics.warping import warping_error


def evaluate(
    prediction: ArrayLike,
    labels: ArrayLike,
    *,
    positive: int | None = None,
    n_classes: int | None = None,
    membranes: bool = False,
) -> dict[str, Any]:
    """Compute every measure of a stack.

    Parameters
    ----------
    prediction : array_like
        Floats: probabilities of the positive class, shape (Z, H, W), for two classes, or of all classes, (Z, H, W, K).
        Integers or booleans: predicted labels, (Z, H, W). Z may be left out; images of several sizes are a list of
        arrays.
    labels : array_like of int, shape (Z, H, W)
        The true labels, 0 to K-1, or -1 where a pixel does not count.
    positive, n_classes : int, optional
        The class of precision, recall and F1, by default the largest; and K, by default the labels' largest + 1, at
        least 2.
    membranes : bool
        Whether the challenge's measures are added (two classes, interior positive, every pixel labelled).

    Returns
    -------
    dict
        Plain numbers, lists and dictionaries, ready for JSON; a share of nothing is None. Labels come from
        probabilities as the most probable class (of two: positive where p > 0.5). A measure with thresholds is a
        dictionary with `value` and the `threshold` at which it was reached, None where labels were given.

    Examples
    --------
    >>> report = evaluate([[[0.9, 0.6, 0.2]]], [[[1, 0, 0]]])
    >>> report["pixel_error"], report["confusion"], report["f1_error"]["value"]
    (0.3333333333333333, [[1, 1], [0, 1]], 0.0)
    """
    images, truth = images_and_labels(prediction, labels, "prediction", "labels")
    p, y = np.concatenate([image.reshape(-1, *image.shape[2:]) for image in images]), np.concatenate(truth, axis=None)
    if y.dtype.kind not in "iub":
        raise DataError(f"labels must be whole numbers; got {y.dtype}")
    soft = p.dtype.kind == "f"
    if not soft and p.dtype.kind not in "iub":
        raise DataError(f"prediction must be float probabilities or whole-number labels; got {p.dtype}")
    given = p.shape[-1] if p.ndim == 2 else 0 if soft else int(p.max()) + 1
    K = n_classes or max(2, int(y.max()) + 1, given)
    positive = K - 1 if positive is None else positive
    if not 0 <= positive < K:
        raise UsageError(f"positive must be a class, 0 to {K - 1}; got {positive}")
    predicted, p_positive = _labels_and_probability(p, y, K, positive) if soft else (p, p == positive)
    ends = np.cumsum([image.size for image in truth])[:-1]
    slices = [part.reshape(image.shape) for part, image in zip(np.split(p_positive, ends), truth, strict=True)]
    C = pixels.confusion(predicted, y, K)
    right = pixels.precision_recall_f1(C, positive)
    f1 = pixels.f1_error(p_positive, y == positive, counted=y != pixels.IGNORED)
    pairs = zip(slices, truth, strict=True)
    slice_errors = [pixels.f1_error(q, t == positive, [f1.threshold], t != pixels.IGNORED).value for q, t in pairs]
    report: dict[str, Any] = {
        "slices": len(truth),
        "pixels": int(C.sum()),
        "classes": K,
        "positive": positive,
        "pixel_error": pixels.pixel_error(predicted, y),
        "balanced_error": pixels.balanced_error(C),
        "class_errors": _plain(pixels.class_errors(C)),
        "iou": _plain(pixels.iou(C)),
        "confusion": C.tolist(),
        **dict(zip(right._fields, _plain(right), strict=True)),
        "f1_error": {**_best(f1, soft), "slices": _plain(slice_errors)},
    }
    if membranes:
        if K != 2 or C.sum() < y.size:
            got = f"{K} classes, {y.size - C.sum()} ignored pixels"
            raise UsageError(f"membrane measures need two classes and a label for every pixel; got {got}")
        both = slices, [image == positive for image in truth]
        rand, v, warps = rand_error(*both), v_scores(*both), warping_error(*both)
        report |= {
            "rand_error": _best(rand, soft),
            "v_rand": {**_best(v.rand, soft), "split": v.rand.split, "merge": v.rand.merge},
            "v_info": {**_best(v.info, soft), "split": v.info.split, "merge": v.info.merge},
            "warping_error": _best(warps.every, soft),
            "splits_and_mergers": _best(warps.splits_and_mergers, soft),
        }
    return report


def format_report(report: dict[str, Any]) -> str:
    """Write a report as a table for people, with label values for classes where it has "class_values".

    What comes from probabilities says how: pixel error to F1 at p > 0.50 (or of the most probable of many classes), the
    others at the threshold that is best for each.

    Examples
    --------
    >>> print(format_report(evaluate([[0, 1, 1, 1]], [[0, 1, 1, 0]])))
    1 slice, 4 pixels, 2 classes, positive class 1
    pixel error            0.2500
    balanced error         0.2500
    precision              0.6667
    recall                 1.0000
    F1                     0.8000
    F1 error               0.2000
    <BLANKLINE>
    class     error     IoU   predicted as 0, 1
        0    0.5000  0.5000   1 1
        1    0.0000  0.6667   0 2
    """
    K, plural = report["classes"], "" if report["slices"] == 1 else "s"
    values = report.get("class_values", range(K))
    soft = report["f1_error"]["threshold"] is not None
    labelled = "" if not soft else "  at p > 0.50" if K == 2 else "  most probable class"
    size = f"{report['slices']} slice{plural}, {report['pixels']} pixels, {K} classes"
    lines = [f"{size}, positive class {values[report['positive']]}"]
    for key, name in _NAMES.items():
        entry = report.get(key)
        if isinstance(entry, dict):
            at = "" if entry["threshold"] is None else f"  best at p > {entry['threshold']:.2f}"
            halves = f"  (split {entry['split']:.4f}, merge {entry['merge']:.4f})" if "split" in entry else ""
            lines.append(f"{name:<22} {entry['value']:.{_DIGITS.get(key, 4)}f}{at}{halves}")
        elif key in report:
            lines.append(f"{name:<22} {'-' if entry is None else f'{entry:.4f}{labelled}'}")
    lines += ["", "class     error     IoU   predicted as " + ", ".join(map(str, values))]
    for k, row in enumerate(report["confusion"]):
        pair = report["class_errors"][k], report["iou"][k]
        error, overlap = ("     -" if x is None else f"{x:.4f}" for x in pair)
        lines.append(f"{values[k]:>5}    {error}  {overlap}   {' '.join(map(str, row))}")
    return "\n".join(lines)


_NAMES = {
    "pixel_error": "pixel error",
    "balanced_error": "balanced error",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_error": "F1 error",
    "rand_error": "Rand error",
    "v_rand": "V_Rand, thinned",
    "v_info": "V_Info, thinned",
    "warping_error": "warping error",
    "splits_and_mergers": "  splits and mergers",
}
_DIGITS = {"warping_error": 6, "splits_and_mergers": 6}  # a slice has 262,144 pixels and few mistakes


def _labels_and_probability(p: np.ndarray, y: np.ndarray, K: int, positive: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted labels, and the probability of the positive class alone."""
    check_probabilities(p, "prediction")
    if p.ndim == y.ndim + 1 and p.shape[-1] == K:
        return p.argmax(axis=-1), p[..., positive]
    if K != 2:
        wanted = f"those of every class, shape {(*y.shape, K)}"
        raise UsageError(f"with {K} classes, probabilities must be {wanted}; got {p.shape}")
    return np.where(p > 0.5, positive, 1 - positive), p


def _best(sweep: Sweep, soft: bool) -> dict[str, Any]:
    return {"value": sweep.value, "threshold": sweep.threshold if soft else None}


def _plain(values: Iterable[float]) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in values]
