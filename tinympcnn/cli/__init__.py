"""The command line: one file for each command, its arguments above the job that they start."""

from tinympcnn.cli.entry import main

__all__ = ["main"]
