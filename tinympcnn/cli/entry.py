"""The table of commands, and what is the same for all of them: exit codes, errors in one sentence, lost terminals.

Exit codes: 0 done, 1 the data cannot be used, 2 the call makes no sense, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from typing import Any, NoReturn, TextIO

from tinympcnn.errors import DataError, Notice, UsageError

COMMANDS = {
    "demo": "Train on synthetic membranes, segment unseen ones, score and draw them.",
    "train": "Train a net on images and label images.",
    "segment": "Segment images with a trained model.",
    "predict": "Write the images that a net predicts, such as images without noise.",
    "classify": "Tell which class each small image shows, with one net or several.",
    "locate": "Find objects in images, and compare them with the truth if that is known.",
    "detect": "Decide for every image whether it contains a defect.",
    "evaluate": "Compare predictions with label images.",
    "calibrate": "Fit a calibration of two-class probabilities on held-out images.",
    "export": "Write models as ONNX, or as a folder for DeepImageJ, ilastik and QuPath.",
    "info": "Describe a model, a spec or this machine.",
    "explore": "Write an HTML page that shows a small net at work, number by number.",
    "gradcheck": "Check the gradients of a net, and compare it with its patch net.",
    "bench": "Measure the speed of this machine, in under a minute.",
    "plot": "Draw the curves of the logs that train --log wrote.",
    "help": "Explain a command, or how nets are written.",
}
"""What each command does; ``tinympcnn/cli/NAME.py`` has its EXAMPLES, its add_arguments and its run."""

CLOSED = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)
"""The errors of a pipe that nobody reads any more, as in ``tinympcnn info | head``."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that names the value of an option once, as from Python 3.13 on, and has room for the names of commands."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=20, **options)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "COMMAND".ljust(11)
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """A parser that takes whole names of options only, and says in one sentence what it cannot take."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Help, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # so that --map -1:0 has a value

    def error(self, message: str) -> NoReturn:
        """Raise what the command line prints."""
        if re.search("expected .*argument", message):
            message += "; write a value that begins with a minus as --option=VALUE, and such a file as ./NAME"
        raise UsageError(f"{message} (see '{self.prog} --help')")

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say that no argument takes these words, and which option the first of them may have meant."""
        word = words[0].split("=")[0]
        near = difflib.get_close_matches(word, re.findall(r"--[a-z-]+", self.format_usage()), 1)
        hint = f"; did you mean {near[0]}?" if near else f"; did you mean ./{word}?" if os.path.exists(word) else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The work goes on where the terminal is gone, or standard output can not be written; the exit code is then 1.
    """
    output, complaints = _Lasting(sys.stdout), _Lasting(sys.stderr)
    with redirect_stdout(output), redirect_stderr(complaints), _notices():
        code = _run(sys.argv[1:] if argv is None else list(argv))
        output.flush()
        if output.lost is None:
            return code
        if output.lost.errno not in CLOSED:
            _failed(f"standard output cannot be written ({output.lost.strerror or output.lost}); its end is missing", 1)
        return code or 1


@contextmanager
def _notices() -> Iterator[None]:
    """Print every notice about the input once, in one line on standard error."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, Notice):
            usual(message, category, *where, **more)
        elif str(message) not in said:
            said.add(str(message))
            print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        usual, warnings.showwarning = warnings.showwarning, show
        yield


def _run(argv: Sequence[str]) -> int:
    try:
        options, unknown = parser_of(argv).parse_known_args(argv)
        if unknown:
            options.parser.refuse(unknown)
        if getattr(options, "threads", None) is not None:
            from tinympcnn import engine

            engine.set_threads(options.threads)
        return options.run(options) or 0
    except UsageError as error:
        return _failed(error, 2)
    except DataError as error:
        return _failed(error, 1)
    except MemoryError as error:
        return _failed(f"not enough memory: {error}; use smaller images, or --tile", 1)
    except KeyboardInterrupt as error:
        return _failed(f"interrupted; {error}" if str(error) else "interrupted", 130)
    except OSError as error:  # a name that is too long, a folder that may not be searched
        return _failed(f"{error.filename or 'the system says'}: {error.strerror or error}", 1)


def _failed(error: Exception | str, code: int) -> int:
    print(f"tinympcnn: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def parser_of(argv: Sequence[str]) -> Parser:
    """Return the parser of all commands, with the arguments of the one that is called: the others stay unloaded."""
    from tinympcnn import __version__

    about = "Max-pooling convolutional networks trained on whole images."
    epilog = "examples:\n  tinympcnn demo\n  tinympcnn train --help\n  tinympcnn help nets"
    parser = Parser(prog="tinympcnn", description=about, epilog=epilog)
    parser.add_argument("--version", action="version", version=f"tinympcnn {__version__}")
    parser.set_defaults(parser=parser)
    called = next((word for word in argv if not word.startswith("-")), "")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == called:
            module = import_module(f"tinympcnn.cli.{name}")
            command.epilog = f"examples:{module.EXAMPLES}"
            module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
    return parser


class _Lasting(io.TextIOBase):
    """A stream that takes every text: one that fails, or is missing, is silent, and `lost` says why."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.lost: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show

    def write(self, text: str) -> int:
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The characters that the stream can show."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self.lost is None and self.stream is not None and self.stream.isatty()

    def _try(self, what: str, *text: str) -> None:
        if self.stream is None or self.lost is not None:
            return
        try:
            getattr(self.stream, what)(*text)
        except OSError as error:
            self.lost = error
            with suppress(OSError, ValueError):  # what is buffered goes nowhere, also when Python ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
