"""``python -m tinympcnn``: the command line."""

import sys

from tinympcnn.cli import main

sys.exit(main())
