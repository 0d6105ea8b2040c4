"""Solutions of the template's exercises: the same names as in the notebook, and typical wrong answers."""

from course.grading import Wrong

from tinympcnn import Tanh


class YourTanh(Tanh):
    """Backward through tanh."""

    def backward(self, dy):
        """Return dy * (1 - y**2)."""
        y = self.take_cache()
        return dy * (1 - y**2)


class NoUpstream(Tanh):
    """Forgets the upstream gradient."""

    def backward(self, dy):
        """Return 1 - y**2 alone."""
        return 1 - self.take_cache() ** 2


WRONG = {
    "upstream gradient forgotten": Wrong("YourTanh", NoUpstream, says="dy has no part in it"),
}
