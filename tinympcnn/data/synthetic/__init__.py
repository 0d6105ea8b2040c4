"""Images with labels, drawn by a random generator: the demo, the tests and the course train on them."""

from tinympcnn.data.synthetic.digits import synthetic_digits
from tinympcnn.data.synthetic.membranes import synthetic_membranes
from tinympcnn.data.synthetic.mitoses import synthetic_mitoses
from tinympcnn.data.synthetic.signs import synthetic_signs
from tinympcnn.data.synthetic.strip import synthetic_strip

__all__ = ["synthetic_digits", "synthetic_membranes", "synthetic_mitoses", "synthetic_signs", "synthetic_strip"]
