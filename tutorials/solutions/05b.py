"""Solutions of tutorial 05b, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn.nn.losses import softmax


def score_gradient(scores, target):
    """Return (p - onehot) / n."""
    p = softmax(scores)
    onehot = np.eye(scores.shape[1])[target]
    return (p - onehot) / len(scores)


class YourNet:
    """Layers in a row."""

    def __init__(self, layers):
        self.layers = layers

    def forward(self, x, train=True):
        """Return the scores; every layer gets `train`."""
        for layer in self.layers:
            x = layer.forward(x, train)
        return x

    def backward(self, dy):
        """Return the gradient of the input."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


def train_step(net, loss, x, target, lr):
    """Take one step of plain gradient descent; return the loss before it."""
    value = loss.forward(net.forward(x), target)
    for layer in net.layers:
        for name in layer.params:
            layer.grads[name][...] = 0
    net.backward(loss.backward())
    for layer in net.layers:
        for name in layer.params:
            layer.params[name] -= lr * layer.grads[name]
    return value


def adam(theta, g, m, v, step, lr, b1=0.9, b2=0.999):
    """Return theta, m and v after one step, the number `step`."""
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    theta = theta - lr * (m / (1 - b1**step)) / (np.sqrt(v / (1 - b2**step)) + 1e-8)
    return theta, m, v


WRONG = {
    "sum in place of mean": Wrong(
        "score_gradient", lambda s, t: len(s) * score_gradient(s, t), says="gradient of the sum"
    ),
    "sign": Wrong("score_gradient", lambda s, t: -score_gradient(s, t), says="its sign is wrong"),
    "label forgotten": Wrong("score_gradient", lambda s, t: softmax(s) / len(s), says="the label has no part in it"),
}
