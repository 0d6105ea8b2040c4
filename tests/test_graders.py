"""The graders of the course tell typical wrong answers apart: each gets words that say what was done.

A wrong answer is the solution with one piece of its text replaced. Two more tables hold what no such piece makes: whole
answers that raise, never end, or forget something, and right answers of another form.
"""

import ast
import importlib.util
import linecache
from pathlib import Path

import pytest
from helpers import TUTORIALS

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("jupytext", "matplotlib")),
    reason="'make test-tutorials' installs the extra 'tutorials'",
)

# number and name | a piece of the solution | what stands there instead, or NOTHING | words of the verdict
WRONG = r"""
00 your_pixel_error | (prediction != labels).mean() | (prediction == labels).mean() | pixels that are right
00 your_pixel_error | .mean() | .sum() | divide by how many pixels
00 your_pixel_error | (prediction != labels) | abs(prediction - labels) | differences of labels are not errors
00 your_pixel_error | (prediction != labels) | ((prediction - labels) ** 2) | squares of them neither
00 your_pixel_error | (prediction != labels) | (prediction - labels) | cancel
00 your_pixel_error | .mean() | .sum() / len(labels) | not by that of a row
00 your_softmax | - scores.max(axis=-1, keepdims=True) | NOTHING | exp(1000) overflows
00 your_softmax | scores.max(axis=-1, keepdims=True) | scores.max() | one maximum for all pixels makes 0/0
00 your_softmax | / e.sum(axis=-1, keepdims=True) | / e.sum() | must sum to 1
00 your_softmax | / e.sum(axis=-1, keepdims=True) | / e.sum(axis=0) | must sum to 1
00 your_softmax | keepdims=True | keepdims=False | (line 3: e = np.exp
00 your_softmax | e / e.sum(axis=-1, keepdims=True) | np.log(e / e.sum(axis=-1, keepdims=True)) | logarithm
00 your_softmax | e = np.exp(scores | scores -= 0.5; e = np.exp(scores | changes the array it was given
00 your_softmax | return e | e | returns None: a return is missing
01 place_of | * C + c | + c | the number of maps is missing
01 place_of | f * H + q | q | the fragment is missing
01 place_of | * W + p | * H + p | a row has W pixels
01 place_of | + c | + c + 1 | counted from 0
01 place_of | ((f * H + q) * W + p) * C + c | 4 * (((f * H + q) * W + p) * C + c) | in bytes
01 place_of | ((f * H + q) * W + p) | ((f * W + p) * H + q) | rows and columns are swapped
01 place_of | ((f * H + q) * W + p) * C + c | (((f * H + q) * W + p) * C + c) / 1 | it should be an int
01 from_offset | x[:, r:, c:] | x[r:, c:] | first axis is the fragment
01 from_offset | x[:, r:, c:] | x[:, c:, r:] | swapped
01 from_offset | x[:, r:, c:] | x[:, r:, c:, c:] | maps were cut
01 from_offset | x[:, r:, c:] | x[:, :-r or None, :-c or None] | off at the end
01 from_offset | x[:, r:, c:] | x[:, r + 1 :, c + 1 :] | one pixel too late
01 from_offset | x[:, r:, c:] | x[:, :r, :c] | stops at (r, c)
01 from_offset | x[:, r:, c:] | x[:, r:, c:].copy() | this is a copy
01 as_storage | [None] | [..., None] | must stand in front
01 as_storage | transpose(1, 2, 0) | transpose(2, 1, 0) | rows and columns are swapped
01 as_storage | stack.transpose(1, 2, 0) | stack | still first
01 as_storage | transpose(1, 2, 0) | transpose(1, 0, 2) | between rows and columns
02 output_size | H - k + 1 | H - 2 * (k // 2) | odd kernels only
02 output_size | H - k + 1 | H - k + k % 2 | odd kernels only
02 output_size | H - k + 1 | H // k | side by side
02 output_size | H - k + 1 | H - k + 2 | after the last one
02 output_size | H - k + 1 | (H - k) / 1 + 1 | it should be an int
02 YourConv | return y.resh | y = y * 0; return y.resh | zero everywhere
02 YourConv | + b | - b | bias is subtracted
02 YourConv | + b | + kh * kw * b | once for each tap
02 YourConv | + b | NOTHING | the bias is missing
02 YourConv | @ W.reshape(-1, W.shape[3]) | @ W[::-1].reshape(-1, W.shape[3]) | rows run backwards
02 YourConv | @ W.reshape(-1, W.shape[3]) | @ W[:, ::-1].reshape(-1, W.shape[3]) | columns run backwards
02 YourConv | @ W.reshape(-1, W.shape[3]) | @ W.swapaxes(0, 1).reshape(-1, W.shape[3]) | rows and columns of the kernel
02 YourConv | @ W.reshape(-1, W.shape[3]) | @ W.reshape(-1, W.shape[3]) / (kh * kw) | mean over the taps
02 YourConv | return y.reshape( | y = y.reshape(F, H - kh + 1, -1, len(b)); y[:, -1] = 0; return y.reshape( | (the last)
02 YourConv | W.reshape(-1, W.shape[3]) | W.reshape(W.shape[3], -1) | line
02 YourConv | + b | + b.astype(float) | float32 went in and float64 came out
02 YourConv | + b | + b + np.zeros(1) | np.zeros alone makes float64
02 YourConv | W.reshape(-1, W.shape[3]) | W.transpose(2, 0, 1, 3).reshape(-1, W.shape[3]) | maps of W come first
02 YourConv | @ W | .reshape(-1, kh * kw, x.shape[3]).swapaxes(1, 2).reshape(-1, W[..., 0].size) @ W | maps first
02 YourConv | kw + 1, -1) | kw + 1, -1).transpose(0, 3, 1, 2) | maps came out first
02 YourConv | W, b = | x += 1; W, b = | changes the array it was given
03 central_difference | / (2 * h) | / 2 * h | a bracket is missing
03 central_difference | (f(x + h) - f(x - h)) / (2 * h) | (f(x) - f(x - h)) / h | to the left
03 central_difference | f(x + h) - f(x - h) | f(x - h) - f(x + h) | sign is wrong
03 central_difference | f(x + h) - | f(x + h) + | it is
03 central_difference | return (f | h = 1e-6; return (f | the h that was given
03 slope_along | .sum() | .mean() | mean of the products
03 slope_along | (gradient * v).sum() | abs(gradient * v).sum() | signs are lost
03 slope_along | .sum() | .sum(axis=0) | one axis only
03 slope_along | (gradient * v).sum() | gradient @ v | multiply place by place
03 slope_along | (gradient * v).sum() | np.dot(gradient, v) | multiply place by place
03 slope_along | .sum() | .sum() / np.linalg.norm(v) | length of v
04 YourLogistic | dy * y * (1 - y) | y * (1 - y) | dy has no part in it
04 YourLogistic | dy * y * (1 - y) | dy * (1 - y**2) | the slope of tanh
04 YourLogistic | dy * y * (1 - y) | dy * y | factor (1 - y) is missing
04 YourLogistic | return dy * y * (1 - y) | y *= 1 - y; return dy * y | changes the y that forward has returned
04 YourLogistic | return dy * y * (1 - y) | dy *= y * (1 - y); return dy | changed its input dy
04 YourLogistic | dy * y * (1 - y) | -dy * y * (1 - y) | its sign is wrong
04 YourLogistic | return y | NOTHING | returns None: a return is missing
04 YourConv | dy @ W[i, j].T | dy @ W[i, j] | its output maps to its input maps: W[i, j].T
04 YourConv | np.tensordot(met, dy, | np.tensordot(dy, met, | met comes first
04 YourConv | dy.sum(axis=(0, 1, 2)) | dy.sum(axis=(1, 2)) | one number for each output map
04 YourConv | dy.sum(axis=(0, 1, 2)) | dy.mean(axis=(0, 1, 2)) | where the sum is wanted
04 YourConv | dx[:, i : i + h, j : j + w] += | dx[:, i : i + h, j : j + w] = | must be added (+=)
04 YourConv | self.grads["W"][i, j] += | self.grads["W"][i, j] = | you overwrote it
04 YourConv | W[i, j].T | W[kh - 1 - i, kw - 1 - j].T | you turned the kernel, but this loop spreads
04 YourConv | dy @ W[i, j].T | dy @ W[kh - 1 - i, kw - 1 - j] | its output maps to its input maps: W[i, j].T
04 YourConv | dy @ W[i, j].T | W[i, j].T @ dy | which product leaves the input maps
04 YourConv | dy @ W[i, j].T | np.tensordot(dy, W[i, j], axes=1) | which product leaves the input maps
04 YourConv | np.tensordot(met, dy, axes=MAPS) | met.T @ dy | sum met times dy over fragments, rows and columns
04 YourConv | , axes=MAPS | NOTHING | axes=([0, 1, 2], [0, 1, 2])
04 YourConv | axes=MAPS | axes=([1, 2], [1, 2]) | axes=([0, 1, 2], [0, 1, 2])
04 YourConv | dy.sum(axis=(0, 1, 2)) | dy.sum() | dy is summed over the output maps, too
04 YourConv | dy.sum(axis=(0, 1, 2)) | dy | db has one number for each output map
04 YourConv | np.zeros_like(x) | np.zeros(x.shape) | float32 went in and float64 came out
04 YourConv | self.grads["b"] += dy.sum(axis=(0, 1, 2)) | NOTHING | the gradient of b: it is zero everywhere
04 YourConv | self.grads["W"][i, j] += np.tensordot(met, dy, axes=MAPS) | pass | the gradient of W: it is zero
05 YourMaxPool | windows.argmax(axis=-1) | windows.argmin(axis=-1) | have not won
05 YourMaxPool | windows.max(axis=-1) | windows.min(axis=-1) | smallest of the window
05 YourMaxPool | windows.max(axis=-1) | windows.sum(axis=-1) | sum of the window
05 YourMaxPool | windows.max(axis=-1) | abs(windows).max(axis=-1) | absolute value
05 YourMaxPool | windows.max(axis=-1) | windows.argmax(axis=-1) | codes of the winners
05 YourMaxPool | winners[..., None], dy[..., None] | winners, dy | the axis of the window, too
05 YourMaxPool | np.zeros((F, H, W, C), dy.dtype) | np.zeros((F, H, W, C)) | float32 went in
05 YourMaxPool | self.spread(routed, winners, dy) | pass | written into routed, at the winners
05b score_gradient | / len(scores) | / scores.shape[1] | not by that of the classes
05b score_gradient | / len(scores) | / scores.size | not by that of all scores
05b score_gradient | (p - onehot) | (onehot - p) | sign is wrong
05b YourNet | reversed(self.layers) | self.layers | goes the other way
05b YourNet | dy = layer.backward(dy) | layer.backward(dy) | must get what layer 5 (FullyConnected) returned
05b YourNet | x = layer.forward(x, train) | layer.forward(x, train) | must get what layer 0 (Conv) returned
05b YourNet | layer.forward(x, train) | layer.forward(x) | train=False
05b YourNet | return x | NOTHING | YourNet.forward returns None: a return is missing
05b YourNet | return dy | NOTHING | YourNet.backward returns None: a return is missing
05b YourNet | for layer in self.layers: | for layer in self.layers[1:]: | takes 3 input maps and got 1 (line 10
05b YourNet | for layer in self.layers: | for layer in self.layers[:-1]: | layer 5 (FullyConnected) ran 0 times
05b YourNet | for layer in self.layers: | for layer in [self.layers[0], *self.layers]: | ran 2 times
05b YourNet | in reversed(self.layers): | in [self.layers.pop() for _ in range(6)]: | backward changes self.layers
05b YourNet | in reversed(self.layers): | in self.layers.reverse() or self.layers: | backward changes self.layers
05b YourNet | in self.layers: | in [self.layers.pop(0) for _ in range(6)]: | forward changes self.layers
05b YourNet | dy = layer.backward(dy) | dy = layer.backward(2 * dy) | must get the dy of the net
05b train_step | -= lr * | += lr * | uphill
05b train_step | -= lr * | -= | learning rate is missing
05b train_step | layer.grads[name][...] = 0 | pass | gradients of earlier steps
05b train_step | -= lr * | -= lr / len(x) * | divided by the number of windows
05b train_step | net.backward(loss.backward()) | return value | still blank, or its backward pass is missing
05b train_step | net.layers: | net.layers[1:]: | in 0.Conv.W, 0.Conv.b
05b train_step | return value | return loss.forward(net.forward(x), target) | before the step
05b train_step | layer.params[name] -= lr * | theta = layer.params[name] - lr * | have not moved
05b adam | / (1 - b1**step) | NOTHING | m is not
05b adam | / (1 - b2**step) | NOTHING | v is not
05b adam | g**2 | g | mean of g**2
05b adam | np.sqrt(v / (1 - b2**step)) | v / (1 - b2**step) | root is missing
05b adam | theta - lr | theta + lr | uphill
05b adam | m = b1 * m + (1 - b1) * g | m = (1 - b1) * m + b1 * g | wrong at
05b adam | (m / (1 - b1**step)) | g | along g
05b adam | theta = theta - | theta -= | changes the array it was given
05b adam | m = b1 | m[...] = b1 | changes the array it was given
05b adam | v = b2 | v[...] = b2 | changes the array it was given
05b adam | theta - lr * | theta - | learning rate is missing
05b adam | np.sqrt(v / (1 - b2**step)) | np.sqrt(v) / (1 - b2**step) | the root goes over the mended v
05b adam | + 1e-8) | ) | eps is missing
05b adam | (1 - b2**step)) + 1e-8) | (1 - b2**step) + 1e-8)) | inside the root
05b adam | (np.sqrt(v / (1 - b2**step)) + 1e-8) | np.sqrt(v / (1 - b2**step)) + 1e-8 | a bracket is missing
05b adam | np.sqrt(v / (1 - b2**step)) + 1e-8 | (np.sqrt(v) + 1e-8) / np.sqrt(1 - b2**step) | the root of the raw v
05b adam | return theta, m, v | return theta * (1 + 1e-8), m, v | 1.00000001 times
05b adam | return theta, m, v | return theta + 1e-8 * theta**2, m, v | 0.650341467 in place of 0.650341462
05b adam | return theta, m, v | return theta | 3 values
06 corner | q - vh // 2, p - vw // 2 | p - vw // 2, q - vh // 2 | first is the row
06 corner | q - vh // 2, p - vw // 2 | q - vw // 2, p - vh // 2 | rows belong to vh
06 corner | q - vh // 2, p - vw // 2 | q + vh // 2, p + vw // 2 | starts before its centre
06 corner | q - vh // 2, p - vw // 2 | q - vh, p - vw | not its half
06 corner | q - vh // 2, p - vw // 2 | q - vh / 2, p - vw / 2 | value 0
06 guess_error | 1 - np.bincount | np.bincount | its error is the rest
06 guess_error | max() | min() | rarest class
06 guess_error | max() | argmax() | taken for its count
06 guess_error | labels.ravel() | labels | np.bincount wants one axis
06 guess_error | 1 - np.bincount(labels.ravel()).max() | np.bincount(labels.ravel()).min() | share of the rarest class
07 operations | (n - k + 1) ** 2 | (n - k + 1) | square it
07 operations | k**2 | k | square k
07 operations | (n - k + 1) | (n - k) | not n - k
07 operations | * in_maps | NOTHING | input maps are missing
07 operations | * out_maps | NOTHING | output maps are missing
07 operations | in_maps * out_maps | (in_maps + out_maps) | maps multiply
07 operations | return 2 | return 2.0 | it should be an int
07 alignments | k * k for | 4 for | not 4
07 alignments | k * k for | 2 for | not 2
07 alignments | math.prod(k * k for k in pools) | sum(pools) ** 2 | not added up
08 fragment_index | f * k[0] * k[1] + | NOTHING | source f is missing
08 fragment_index | f * k[0] * k[1] + | f + | not one
08 fragment_index | + c | + c + 1 | counted from 0
08 fragment_index | r * k[1] + c | c | row of the offset
08 fragment_index | r * k[1] + c | c * k[1] + r | r and c belong
08 YourMaxPoolFragment | x.dtype | float | float32 went in
09 your_merge | reversed(pools) | pools | undone in the wrong order
09 your_merge | dense[:, r::kh, c::kw] | dense[:, c::kh, r::kw] | line
09 your_merge | storage[r * kw + c :: kh * kw] | storage[c * kh + r :: kh * kw] | by columns
09 your_merge | return storage | return storage[:1] | first image alone
09 your_field_of_view | vh = 1 | vh = 0 | start with 1
09 your_field_of_view | reversed(layers) | layers | from the output back
09 your_field_of_view | * step | NOTHING | steps of the pools are missing
09 your_padded_size | -(-n // S) * S | n // S * S | round up
09 your_padded_size | + vh - 1 | + vh | vh - 1 rows are added
09 your_padded_size | n = H - vh + 1 | n = H | it is
09 your_padded_size | n = H - vh + 1 | n = H - vh | outputs, not H - vh
10 your_gradient | dW += | dW = | only the last fragment counts
10 your_gradient | return dW | return dW / len(x) | mean over the fragments
10 your_gradient | return dW | return dW.T | transpose
10 YourMaxPoolFragment | dy[i :: kh * kw] | dy[:: kh * kw] | taken for all of them
10 YourMaxPoolFragment | dx[:, r:, c:] += | dx[:, r:, c:] = | overwrites what another has sent
10 YourMaxPoolFragment | pool.backward( | (i == 0) * pool.backward( | (0, 0) alone
10 YourMaxPoolFragment | return dx | NOTHING | returns None: a return is missing
10 YourMaxPoolFragment | return dx | return -dx | sign
10 YourMaxPoolFragment | dtype=dy.dtype | dtype=float | float32
11 loss_over_set | np.dot(losses, counts) / np.sum(counts) | np.mean(losses) | every image counts the same
11 image_step | net.zero_grads() | pass | zero the gradients each time
11 loss_over_set | / np.sum(counts) | NOTHING | sum over pixels
11 loss_over_set | / np.sum(counts) | / len(losses) | not by that of images
12 backtracking | t = t * shrink | t * shrink | asks for the loss without end
12 backtracking | - c * t * slope | - c * slope | asks for the loss without end
12 backtracking | t = t * shrink | t = t * 0.5 | use shrink
12 backtracking | return t | return t * shrink | one shrink too many
12 backtracking | slope = loss_at(theta), g @ g | slope = loss_at(theta), 0 | any decrease
12 backtracking | return t | return theta - t * g | return the step length
12 backtracking | theta - t * g | theta + t * g | goes uphill
12b two_loops | q = -g | q = g | the direction is -H g
12b two_loops | (alpha - beta) * s | alpha * s | beta is missing
12b two_loops | reversed(alphas) | alphas | each pair needs its own alpha
12b two_loops | pairs[-1] | pairs[0] | that of the newest pair
13 best_threshold | argmax | argmin | smallest F1
13 best_threshold | p > t | p >= t | not where they are equal
14 class_weights | counts.sum() / (present.sum() * counts[present]) | 1 / counts[present] | sum to the classes
14 choose_threshold | counts > t | counts >= t | not where they are equal
14 choose_threshold | argmin | argmax | largest cost
14 choose_threshold | miss * ( | ( | both errors cost the same
15 rms | xp.sqrt((x * x).mean()) | xp.sqrt((x * x).sum()) | take their mean
15 rms | xp.sqrt((x * x).mean()) | float(xp.sqrt((x * x).mean())) | float() pulls the result to the host
15 rms | xp.sqrt((x * x).mean()) | x.mean() | not of their squares
15 rms | xp.sqrt((x * x).mean()) | x.std() | mean must not be taken out
15 median_seconds | statistics.median(times) | max(times) | return the median
16 ReLU | x > 0 if train | x >= 0 if train | where x is 0
16 ReLU | return dy * self.take_cache() | self.take_cache(); return dy | derivative
16 PReLU | self.params["a"] * dy) | 0) | zero for negative x
16 PReLU | self.grads["a"] += | self.grads["a"][...] = | you overwrote it
16 PReLU | (dy * x * (x <= 0)) | (dy * (x <= 0)) | gradient of a
17 committee | mean(axis=0).argmax(axis=-1) | argmax(axis=-1) | one class for each member
17 error_after_rejecting | [n:] | [:n] | not numbers (nan)
18 f1 | 2 * hits / (2 * hits | hits / (hits | counts twice
18 suppress | in kept) | in objects if other[2] > one[2]) | suppresses nothing
18 draw | side="right" | side="left" | never wrong
19 YourFragment | y[i::K] = | y[i * len(x) : (i + 1) * len(x)] = | offsets come before the source fragments
19 YourFragment | dy[i::K] | dy[i::K] * (i == 0) | it is
19 YourFragment | return y | return x.reshape(y.shape) | x was only reshaped
19 YourFragment | return dx | return dy.reshape(dx.shape) | dy was only reshaped
19 YourSkip | += dy | = dy | must be added (+=)
19 YourSkip | top : top + dy.shape[1] | top : -top | let it end at t + dy.shape[1]
19 YourSkip | self.window[0] // 2, self.window[1] // 2 | 0, 0 | belongs there
19 rows_after | H * layer[1] | H | it is
19 alignment | scale //= layer[1] | scale //= 1 | U undoes a pool
"""
CASES = [[part.strip() for part in line.split(" | ")] for line in WRONG.strip().splitlines()]


@pytest.fixture(scope="module")
def judge(course_of):
    """Return a function that judges an answer to an exercise: what `edit` makes of the text of its solution."""

    def run(number, name, edit):
        course = course_of(next(TUTORIALS.glob(f"{number}_*.py")))
        exercises, module = course.exercises, course.solutions
        i = next(i for i, names in enumerate(exercises.names) if name in names)
        source = Path(module.__file__).read_text(encoding="utf-8")
        node = next(node for node in ast.parse(source).body if getattr(node, "name", None) == name)
        text = edit(ast.get_source_segment(source, node))
        space, file = dict(vars(module)), f"{number}, {name}"
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        exec(compile(text, file, "exec"), space)
        others = {known: vars(module)[known] for names in exercises.names for known in names if known in vars(module)}
        return course.judge(i, {**others, name: space[name]}, given=others)

    return run


@pytest.mark.parametrize("exercise, old, new, says", CASES, ids=[f"{c[0]}: {c[2][:40]}" for c in CASES])
def test_a_wrong_answer_is_told_by_name(judge, exercise, old, new, says):
    def edit(text):
        assert old in text
        return text.replace(old, "" if new == "NOTHING" else new)

    right, words = judge(*exercise.split(), edit)
    assert not right
    assert says in words, words


CHECKER = """
def is_right(layer, x, rng):
    v, dy = rng.standard_normal(x.shape), rng.standard_normal(layer.forward(x).shape)
    layer.forward(x)
    a, h = (layer.backward(dy) * v).sum(), 1e-6
    n = (dy * (layer.forward(x + h * v) - layer.forward(x - h * v))).sum() / (2 * h)
    return """


@pytest.mark.parametrize(
    "test, says",
    [
        ("a - n <= 1e-5 * max(abs(a), abs(n))", "is an abs missing?"),
        ("n - a <= 1e-5 * max(abs(a), abs(n))", "an error has no sign"),
        ("abs(abs(a) - abs(n)) <= 1e-5 * abs(n)", "not their absolute values"),
        ("abs(a - n) <= 0.1 * abs(n)", "the tolerance is 1e-5"),
        ("abs(a - n) <= 2e-3 * abs(n)", "the tolerance is 1e-5"),
        ("abs(a - n) < 1e-5", "the error is relative"),
        ("a == n", "says False to a Tanh that is right"),
        ("abs(a) < 1e-5 * abs(n)", "says False to a Tanh that is right"),
        ("np.sign(a) == np.sign(n)", "twice too large"),
        ("None", "is_right returns None: a return is missing"),
    ],
)
def test_a_checker_that_lets_mistakes_pass_is_told_so(judge, test, says):
    right, words = judge("03", "is_right", lambda text: CHECKER + test)
    assert not right
    assert says in words, words


RIGHT = r"""
00 your_pixel_error | (prediction != labels).mean() | 1 - np.mean(prediction == labels)
00 your_pixel_error | (prediction != labels).mean() | np.count_nonzero(prediction - labels) / labels.size
01 place_of | ((f * H + q) * W + p) * C + c | f * H * W * C + q * W * C + p * C + c
01 as_storage | stack.transpose(1, 2, 0)[None] | np.moveaxis(stack, 0, -1)[np.newaxis].copy()
02 output_size | H - k + 1 | len(range(k - 1, H))
04 YourConv | np.tensordot(met, dy, axes=MAPS) | np.einsum("fhwc,fhwm->cm", met, dy)
04 YourConv | dy @ W[i, j].T | np.einsum("fhwm,cm->fhwc", dy, W[i, j])
04 YourLogistic | dy * y * (1 - y) | dy * (y - y**2)
05b YourNet | dy = layer.backward(dy) | dx = layer.backward(dy); dy = dx
05b train_step | layer.params[name] -= lr * | layer.params[name][...] -= lr *
05b adam | theta - lr * (m / (1 - b1**step)) | theta - lr / (1 - b1**step) * m
06 guess_error | 1 - np.bincount(labels.ravel()).max() / labels.size | 1 - max(np.bincount(labels.flat)) / labels.size
12 backtracking | slope = loss_at(theta), g @ g | slope = loss_at(theta), (g**2).sum()
"""


@pytest.mark.parametrize("case", RIGHT.strip().splitlines())
def test_a_right_answer_of_another_form_passes(judge, case):
    exercise, old, new = case.split(" | ")

    def edit(text):
        assert old in text
        return text.replace(old, new).replace("def ", "import numpy as np\ndef ", not text.startswith("class"))

    right, words = judge(*exercise.split(), edit)
    assert right, words


# ------------------------------------------------------------------------------------------------- attempts


@pytest.fixture
def attempt(judge):
    """Return `course.attempts.attempt` on an answer given as text."""
    import course.attempts

    def run(text, *args):
        space = {}
        linecache.cache["answer"] = len(text), None, text.splitlines(keepends=True), "answer"
        exec(compile(text, "answer", "exec"), space)
        return course.attempts.attempt("f", space["f"], *args)

    return run


@pytest.mark.parametrize(
    "text, says",
    [
        ("def f(): ...", "f is still blank"),
        ("def f(): return ...", "f is still blank"),
        ("def f():\n    y = 2", "f returns None: a return is missing"),
        ("def f():\n    return 1 + ...", "f is still blank: it computes with ..."),
        (
            "def f():\n    y = [1]\n    return y[1]",
            "f raised IndexError: list index out of range (line 3: return y[1])",
        ),
    ],
)
def test_an_attempt_says_why_there_is_nothing_to_judge(attempt, text, says):
    value, words = attempt(text)
    assert value is None
    assert says in words


@pytest.mark.parametrize("text", ["def f():\n    while True: pass", "def f():\n    while True:\n        sorted([1])"])
def test_a_loop_without_an_end_is_ended(attempt, text, monkeypatch):
    import course.attempts

    monkeypatch.setattr(course.attempts, "SECONDS", 0.1)
    assert "did not end within 0.1 seconds" in attempt(text)[1]
