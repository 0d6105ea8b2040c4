"""The command line: every subcommand parses its arguments and calls one public function.

Exit codes: 0 done, 1 the data cannot be used, 2 the call makes no sense, 130 interrupted. Errors are one sentence.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tinympcnn import engine
from tinympcnn.cli import arguments
from tinympcnn.errors import DataError, UsageError
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training.fit import DECAYS, KEEPS, Record


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = argparse.Namespace()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show
    try:
        options, unknown = _parser().parse_known_args(argv)
        if unknown:
            options.parser.refuse(unknown)
        if getattr(options, "threads", None) is not None:
            engine.set_threads(options.threads)
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
        return 0
    except UsageError as error:
        return _failed(error, 2)
    except DataError as error:
        return _failed(error, 1)
    except MemoryError as error:
        return _failed(DataError(f"not enough memory: {error}; use smaller images, or --tile"), 1)
    except KeyboardInterrupt:
        return _failed(UsageError(f"interrupted{_way_on(options)}"), 130)
    except BrokenPipeError:  # the reader of our output has gone, as with `tinympcnn info | head`
        sys.stderr.close()
        return 1
    except OSError as error:  # a name that is too long, a folder that may not be searched
        return _failed(DataError(f"{error.filename or 'the system says'}: {error.strerror or error}"), 1)


def _failed(error: Exception, code: int) -> int:
    print(f"tinympcnn: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _way_on(options: argparse.Namespace) -> str:
    """Say how an interrupted command can go on, if it can."""
    from tinympcnn.cli.train import checkpoint_path

    if getattr(options, "name", "") != "train" or not checkpoint_path(options.output).is_file():
        return ""
    return f"; the same command with --resume goes on from {checkpoint_path(options.output)}"


def _parser() -> argparse.ArgumentParser:
    from tinympcnn import __version__

    about = "Max-pooling convolutional networks trained on whole images."
    parser = arguments.Parser(prog="tinympcnn", description=about)
    parser.add_argument("--version", action="version", version=f"tinympcnn {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command, parser=sub)
        return sub

    demo = add("demo", _demo, "Train on synthetic membranes, segment unseen ones, score and draw them.")
    demo.add_argument("-o", "--output", default="demo", metavar="DIR", help="folder of the picture (demo)")
    arguments.machine(demo)

    train = add("train", _train, "Train a net on images and label images.")
    train.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    train.add_argument("-l", "--labels", nargs="+", required=True, help="label images: one value for each class")
    train.add_argument("-o", "--output", required=True, metavar="MODEL.npz", help="the model file to write")
    train.add_argument("--net", default="N3", metavar="N3|N4|steel|SPEC", help="such as 'C5x5x8 MPF2x2 FC2' (N3)")
    train.add_argument("--epochs", type=int, default=10, metavar="E", help="passes over the images (10)")
    train.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", help="(adam)")
    train.add_argument("--lr", type=float, help="learning rate, or first step of armijo (each has its own default)")
    train.add_argument("--on-failure", choices=("stop", "continue"), help="of armijo to find a step (stop)")
    train.add_argument(
        "--balance", nargs="?", const=True, default=False, choices=("images",),
        help="let every class count as much as the others; images: and every image, for rare defects (adam, sgd)",
    )  # fmt: skip
    train.add_argument("--decay", choices=DECAYS, default="cosine", help="of the rate of adam and sgd (cosine)")
    train.add_argument("--warmup", type=float, default=0, metavar="E", help="epochs over which it first grows (0)")
    train.add_argument("--augment", default="none", metavar="KINDS", help="such as flip or rotate+elastic+intensity")
    train.add_argument("--crop", type=int, metavar="N", help="one update for every NxN crop (for every whole image)")
    train.add_argument("--downsample", type=int, default=1, metavar="N", help="shrink images and labels by N (1)")
    train.add_argument("--val", type=float, default=0.0, metavar="FRACTION", help="share of images held out (0)")
    train.add_argument("--keep", choices=KEEPS, default="last", help="last epoch, or best by validation (last)")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint beside MODEL.npz")
    train.add_argument("--log", metavar="LOG.csv", help="one row for every epoch")
    train.add_argument("--seed", type=arguments.seed, default=0, metavar="S", help="of everything random (0)")
    train.add_argument("--minutes", type=float, default=10, help="longest time between two checkpoints (10)")
    train.add_argument("--processes", type=int, default=1, metavar="N", help="of one thread each, for lbfgs (1)")
    arguments.reading(train)
    arguments.machine(train)

    segment = add("segment", _segment, "Segment images with a trained model.")
    segment.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    segment.add_argument(
        "-m", "--model", nargs="+", action="extend", required=True, metavar="MODEL.npz",
        help="as written by train; the probabilities of several are averaged",
    )  # fmt: skip
    segment.add_argument("-o", "--output", required=True, metavar="DIR", help="for {name}_prob.tif, {name}_labels.tif")
    segment.add_argument("--turns", action="store_true", help="average over the eight flips and quarter turns")
    segment.add_argument("--calibration", metavar="CAL.json", help="correct the average, as fitted by calibrate")
    segment.add_argument(
        "--median", type=int, default=0, metavar="R", help="then filter, radius R pixels (0: no filter)"
    )
    segment.add_argument("--tile", type=arguments.tile, default=None, metavar="auto|N", help="outputs at a time (auto)")
    segment.add_argument(
        "--memory", type=arguments.memory, metavar="SIZE", help="such as 2G or 500M (half of what is free)"
    )
    segment.add_argument("--axes", help="axes of the images, such as ZYX or CYX, whatever the files say themselves")
    segment.add_argument("--force", action="store_true", help="overwrite results that exist")
    arguments.machine(segment)

    detect = add("detect", _detect, "Decide for every image whether it holds a defect.")
    detect.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    detect.add_argument(
        "-m", "--model", nargs="+", action="extend", required=True, metavar="MODEL.npz",
        help="its first class is sound; the probabilities of several are averaged",
    )  # fmt: skip
    detect.add_argument("-l", "--labels", nargs="+", help="label images; any value but the first class's is a defect")
    detect.add_argument("--turns", action="store_true", help="average over the eight flips and quarter turns")
    detect.add_argument("--val-images", nargs="+", help="images on which the probability threshold is chosen (0.5)")
    detect.add_argument("--val-labels", nargs="+", help="and their label images")
    detect.add_argument("--probability", type=arguments.probability, metavar="P", help="the threshold, if not chosen")
    more = "flag images with more defect pixels, at the resolution given; auto: chosen on validation images (5000)"
    detect.add_argument("--pixels", type=arguments.pixels, default=5000.0, metavar="auto|N", help=more)
    detect.add_argument("--downsample", type=int, metavar="N", help="shrink images by N (as the model was trained)")
    detect.add_argument("--csv", metavar="ROWS.csv", help="one row for every image")
    detect.add_argument("--sheet", metavar="SHEET.png", help="a picture of the worst mistakes")
    detect.add_argument("--roc", metavar="ROC.png", help="a picture of the ROC curve with the chosen point")
    arguments.reading(detect)
    arguments.machine(detect)

    evaluate = add("evaluate", _evaluate, "Compare predictions with label images.")
    evaluate.add_argument("-p", "--predictions", nargs="+", required=True, help="_prob.tif or _labels.tif files")
    evaluate.add_argument("-l", "--labels", nargs="+", required=True, help="label images")
    evaluate.add_argument("--positive", type=int, metavar="VALUE", help="class of F1, precision, recall (the largest)")
    evaluate.add_argument("--membranes", action="store_true", help="add Rand, V_Rand, V_Info and warping error")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    arguments.relabelling(evaluate)
    arguments.reading(evaluate)

    calibrate = add("calibrate", _calibrate, "Fit a calibration of two-class probabilities on held-out images.")
    calibrate.add_argument("-p", "--predictions", nargs="+", required=True, help="_prob.tif files, of held-out images")
    calibrate.add_argument("-l", "--labels", nargs="+", required=True, help="label images")
    calibrate.add_argument("-o", "--output", required=True, metavar="CAL.json", help="for segment --calibration")
    arguments.relabelling(calibrate)
    arguments.reading(calibrate)

    info = add("info", _info, "Describe a model or a spec; without one, this machine.")
    info.add_argument("what", nargs="?", metavar="MODEL.npz|SPEC", help="or N3, N4, steel")
    info.add_argument(
        "--image", type=arguments.size, metavar="HxW", help="sizes, work and memory for images of this size"
    )
    info.add_argument("--in-maps", type=int, default=1, help="maps of the images, for a spec (1)")

    check = add("gradcheck", _gradcheck, "Check gradients and the contract of a net by finite differences.")
    check.add_argument("spec", nargs="?", default="C3x3x3 MPF2x2 C2x2x4 MPF3x2 FC2x2x5 FC2", help="N3, N4, steel, SPEC")

    add("bench", _bench, "Measure this machine, in under a minute.")
    return parser


def _demo(options: argparse.Namespace) -> None:
    from tinympcnn.cli.demo import demo

    demo(options.output, device=options.backend)


def _train(options: argparse.Namespace) -> None:
    from tinympcnn.cli.train import train_files

    bar = _Bar(options.epochs)
    try:
        train_files(
            options.images, options.labels, options.output, net=options.net, epochs=options.epochs,
            optimizer=options.optimizer, options=_optimizer_options(options), balance=options.balance,
            augment=options.augment, crop=options.crop, decay=options.decay, warmup=options.warmup,
            val=options.val, keep=options.keep, resume=options.resume, log=options.log, seed=options.seed,
            device=options.backend, axes=options.axes, threshold=options.threshold, downsample=options.downsample,
            minutes=options.minutes, processes=options.processes, report=bar.epoch, progress=bar.update,
        )  # fmt: skip
    finally:
        bar.clear()


def _optimizer_options(options: argparse.Namespace) -> dict[str, Any]:
    if options.lr is not None and options.optimizer == "lbfgs":
        raise UsageError("lbfgs finds its own steps and takes no --lr; leave it out")
    if options.on_failure is not None and options.optimizer != "armijo":
        raise UsageError(f"--on-failure belongs to --optimizer armijo; {options.optimizer} takes every step")
    chosen = {"lr": options.lr, "on_failure": options.on_failure}
    return {name: value for name, value in chosen.items() if value is not None}


class _Bar:
    """A progress bar on a terminal; one plain line for every epoch anywhere else."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.done, self.start = epochs, 0, time.perf_counter()
        self.live = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        if self.live:
            filled = 30 * done // total
            seconds = time.perf_counter() - self.start
            bar = "#" * filled + "." * (30 - filled)
            print(f"\r[{bar}] {done}/{total} images, {seconds:.0f} s ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)

    def epoch(self, record: Record) -> None:
        self.clear()
        held = "" if record["loss_val"] != record["loss_val"] else (
            f", validation loss {record['loss_val']:.4f}, pixel error {record['pixel_error']:.4f}"
        )  # fmt: skip
        print(
            f"epoch {record['epoch']}/{self.epochs}: loss {record['loss_train']:.4f}{held}, "
            f"{record['seconds']:.1f} s, {record['patches_per_second']:,.0f} patches/s",
            flush=True,
        )


def _segment(options: argparse.Namespace) -> None:
    from tinympcnn.cli.segment import segment_files

    segment_files(
        options.images, options.model, options.output, turns=options.turns, calibration=options.calibration,
        median=options.median, tile=options.tile, memory=options.memory, axes=options.axes, force=options.force,
        device=options.backend,
    )  # fmt: skip


def _detect(options: argparse.Namespace) -> None:
    from tinympcnn.cli.detect import detect_files

    if bool(options.val_images) != bool(options.val_labels):
        raise UsageError("--val-images and --val-labels belong together")
    detect_files(
        options.images, options.model, options.labels, turns=options.turns,
        validation=(options.val_images, options.val_labels) if options.val_images else None,
        threshold=options.probability, pixels=options.pixels, downsample=options.downsample,
        mask_threshold=options.threshold, csv_path=options.csv, sheet=options.sheet, roc=options.roc,
        axes=options.axes, device=options.backend,
    )  # fmt: skip


def _evaluate(options: argparse.Namespace) -> None:
    from tinympcnn.cli.evaluate import evaluate_files
    from tinympcnn.metrics import format_report

    report = evaluate_files(
        options.predictions, options.labels, positive=options.positive, axes=options.axes,
        threshold=options.threshold, mapping=options.map, invert=options.invert, membranes=options.membranes,
        downsample=options.downsample,
    )  # fmt: skip
    print(json.dumps(report, indent=1) if options.json else format_report(report))


def _calibrate(options: argparse.Namespace) -> None:
    from tinympcnn.cli.calibrate import calibrate_files

    calibrate_files(
        options.predictions, options.labels, options.output, axes=options.axes, threshold=options.threshold,
        mapping=options.map, invert=options.invert, downsample=options.downsample,
    )  # fmt: skip


def _info(options: argparse.Namespace) -> None:
    from tinympcnn.cli import info

    if options.what is None and options.image is not None:
        raise UsageError("--image belongs to a net, as in 'tinympcnn info N4 --image 512x512'")
    print(info.system() if options.what is None else info.describe_named(options.what, options.image, options.in_maps))


def _gradcheck(options: argparse.Namespace) -> None:
    from tinympcnn import Net, gradcheck

    report = gradcheck.check_net(Net.from_spec(options.spec, rng=0))
    print(report)
    if not report:
        raise DataError("the gradients are wrong")


def _bench(options: argparse.Namespace) -> None:
    from tinympcnn.cli.bench import bench

    bench()
