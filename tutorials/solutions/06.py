"""Solutions of tutorial 06, and typical wrong answers."""

from course.grading import Wrong


def corner(r, c, P, Q):
    """Return where the window of pixel (r, c) starts."""
    return r - P // 2, c - Q // 2


WRONG = {
    "not centred": Wrong("corner", lambda r, c, P, Q: (r, c), says="P // 2 is missing"),
    "one pixel off": Wrong("corner", lambda r, c, P, Q: (r - (P - 1) // 2, c - (Q - 1) // 2), says="one pixel off"),
}
