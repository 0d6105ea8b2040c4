"""Solutions of tutorial 11's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong


def image_step(net, image, target, loss, lr):
    """Make one update from a whole image; return the loss before it."""
    scores = net.forward(image)
    value = loss.forward(scores, target)
    net.zero_grads()
    net.backward(loss.backward(), input_grad=False)
    net.set_flat(net.flat() - lr * net.flat_grads())
    return value


def loss_over_set(losses, counts):
    """Return the mean over all pixels."""
    return np.dot(losses, counts) / np.sum(counts)


def gradients_pile_up(net, image, target, loss, lr):
    """Never set the gradients to zero."""
    value = loss.forward(net.forward(image), target)
    net.backward(loss.backward(), input_grad=False)
    net.set_flat(net.flat() - lr * net.flat_grads())
    return value


def zeroed_after(net, image, target, loss, lr):
    """Set the gradients to zero after the step, and start with old ones."""
    value = gradients_pile_up(net, image, target, loss, lr)
    net.zero_grads()
    return value


def uphill(net, image, target, loss, lr):
    """Add the gradient."""
    value = loss.forward(net.forward(image), target)
    net.zero_grads()
    net.backward(loss.backward(), input_grad=False)
    net.set_flat(net.flat() + lr * net.flat_grads())
    return value


def not_moved(net, image, target, loss, lr):
    """Forget the step."""
    value = loss.forward(net.forward(image), target)
    net.zero_grads()
    net.backward(loss.backward(), input_grad=False)
    return value


def no_rate(net, image, target, loss, lr):
    """Forget the learning rate."""
    value = loss.forward(net.forward(image), target)
    net.zero_grads()
    net.backward(loss.backward(), input_grad=False)
    net.set_flat(net.flat() - net.flat_grads())
    return value


WRONG = {
    "gradients pile up": Wrong("image_step", gradients_pile_up, "zero the gradients each time"),
    "zeroed after the step": Wrong("image_step", zeroed_after, "before net.backward adds to them"),
    "uphill": Wrong("image_step", uphill, "goes uphill"),
    "not moved": Wrong("image_step", not_moved, "have not moved"),
    "no learning rate": Wrong("image_step", no_rate, "the learning rate is missing"),
    "mean of means": Wrong("loss_over_set", lambda losses, counts: np.mean(losses), "every image counts the same"),
    "sum": Wrong("loss_over_set", lambda losses, counts: np.dot(losses, counts), "divide by their number"),
}
