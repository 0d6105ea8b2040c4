"""Images with labels that are drawn by a random generator: what the demo, the tests and the course train on."""

from tinympcnn.data.synthetic.membranes import synthetic_membranes
from tinympcnn.data.synthetic.mitoses import synthetic_mitoses
from tinympcnn.data.synthetic.strip import synthetic_strip

__all__ = ["synthetic_membranes", "synthetic_mitoses", "synthetic_strip"]
