"""Solutions of tutorial 01, and wrong answers that the grading knows by name."""

from course.grading import Wrong


def place_of(index, shape):
    """Return the place in memory."""
    (f, q, p, c), (_, H, W, C) = index, shape
    return ((f * H + q) * W + p) * C + c


def maps_first(index, shape):
    """Return the place in an array (F, C, H, W)."""
    (f, q, p, c), (_, H, W, C) = index, shape
    return ((f * C + c) * H + q) * W + p


def reversed_order(index, shape):
    """Return the place if the first index runs fastest."""
    (f, q, p, c), (F, H, W, _) = index, shape
    return f + F * (q + H * (p + W * c))


def from_offset(x, r, c):
    """Return a view from row r and column c on."""
    return x[:, r:, c:]


def as_storage(stack):
    """Move the maps last, and add the axis of fragments."""
    return stack.transpose(1, 2, 0)[None]


def by_reshape(stack):
    """Reshape where a transpose is wanted."""
    C, H, W = stack.shape
    return stack.reshape(1, H, W, C)


WRONG = {
    "maps first": Wrong("place_of", maps_first, says="if the maps came first"),
    "first index fastest": Wrong("place_of", reversed_order, says="the order of the axes is reversed"),
    "fragment axis forgotten": Wrong("from_offset", lambda x, r, c: x[r:, c:], says="first axis is the fragment"),
    "copy": Wrong("from_offset", lambda x, r, c: x[:, r:, c:].copy(), says="this is a copy"),
    "reshape": Wrong("as_storage", by_reshape, says="reshape does not move an axis"),
    "no fragment axis": Wrong("as_storage", lambda s: s.transpose(1, 2, 0), says="the axis of fragments is missing"),
}
