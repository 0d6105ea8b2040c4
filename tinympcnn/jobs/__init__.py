"""From files to files: what the commands train, segment, evaluate and calibrate do, as functions.

Everything is checked before the work begins, results are written whole or not at all, and what was read and chosen is
said through `echo`. Read next: ``training.py``; and ``cli.py``, which only parses and calls these.
"""

from tinympcnn.jobs.calibrating import calibrate_files
from tinympcnn.jobs.evaluating import evaluate_files
from tinympcnn.jobs.outputs import check_outputs
from tinympcnn.jobs.segmenting import load_committee, segment_files
from tinympcnn.jobs.training import checkpoint_path, train_files, write_log

__all__ = [
    "calibrate_files",
    "check_outputs",
    "checkpoint_path",
    "evaluate_files",
    "load_committee",
    "segment_files",
    "train_files",
    "write_log",
]
