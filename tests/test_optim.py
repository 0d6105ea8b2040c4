"""The optimisers against formulas by hand and against SciPy's minimisers."""

import numpy as np
import pytest
from scipy import optimize

from tinympcnn import Net, SoftmaxCrossEntropy, UsageError
from tinympcnn.errors import DivergenceError
from tinympcnn.nn.optim import LBFGS, OPTIMIZERS, SGD, Adam, ArmijoSGD, build
from tinympcnn.training.objective import Example, image_closure


class Problem:
    """A function of n numbers behind a net's parameters: what an optimiser sees."""

    def __init__(self, function, gradient, start):
        self.net = Net.from_spec(f"FC{len(start) // 2}", rng=0).astype("float64")  # n/2 weights and n/2 biases
        self.net.set_flat(np.asarray(start, np.float64))
        self.function, self.gradient, self.calls = function, gradient, []

    def __call__(self, grad=True):
        x = self.net.flat()
        if grad:
            self.net.set_flat_grads(self.gradient(x))
        self.calls.append((x, grad))
        return float(self.function(x))


A = np.diag([1.0, 3.0, 10.0, 30.0]) + 0.5
CENTRE = np.array([1.0, -2.0, 0.5, 3.0])


def quadratic(start=(0, 0, 0, 0)):
    return Problem(lambda x: (x - CENTRE) @ A @ (x - CENTRE) / 2, lambda x: A @ (x - CENTRE), start)


def rosenbrock():
    return Problem(optimize.rosen, optimize.rosen_der, [-1.2, 1.0])


def logistic(rng):
    features, signs = rng.standard_normal((60, 6)), rng.choice([-1, 1], 60)
    z = features * signs[:, None]
    return Problem(
        lambda w: np.logaddexp(0, -z @ w).mean() + 0.01 * w @ w,
        lambda w: -(z / (1 + np.exp(z @ w))[:, None]).mean(axis=0) + 0.02 * w,
        np.zeros(6),
    )


def test_sgd_by_hand():
    problem = quadratic()
    sgd, x, v = SGD(problem.net, lr=0.01, momentum=0.5), np.zeros(4), np.zeros(4)
    for scale in (1.0, 1.0, 0.5):
        sgd.scale = scale
        assert sgd.step(problem) == pytest.approx(problem.function(x))
        v = 0.5 * v - 0.01 * scale * A @ (x - CENTRE)
        x = x + v
        np.testing.assert_allclose(problem.net.flat(), x, rtol=1e-14)
        assert sgd.last_step == 0.01 * scale


def test_adam_by_hand():
    problem = quadratic()
    adam, x, m, v = Adam(problem.net, lr=0.1), np.zeros(4), 0.0, 0.0
    for n in range(1, 6):
        adam.step(problem)
        g = A @ (x - CENTRE)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.1 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        np.testing.assert_allclose(problem.net.flat(), x, rtol=1e-12)


def test_armijo_holds_at_every_step_and_steps_are_carried_over():
    problem = quadratic((9, 9, 9, 9))
    armijo, before = ArmijoSGD(problem.net, lr=8.0, c=0.3, grow=1.5), 8.0
    for _ in range(30):
        x, calls = problem.net.flat(), len(problem.calls)
        loss = armijo.step(problem)
        g, t = problem.gradient(x), armijo.last_step
        np.testing.assert_allclose(problem.net.flat(), x - t * g)
        assert problem.function(problem.net.flat()) <= loss - 0.3 * t * g @ g
        trials = problem.calls[calls + 1 :]
        assert not any(grad for _, grad in trials)  # a trial step needs a forward pass only
        assert t == before * 1.5 * 0.5 ** (len(trials) - 1)  # the last step, grown, and halved until it held
        for refused, _ in trials[:-1]:
            tried = np.linalg.norm(refused - x) / np.linalg.norm(g)
            assert problem.function(refused) > loss - 0.3 * tried * g @ g
        before = t
    assert armijo.evaluations == len(problem.calls)
    assert problem.function(problem.net.flat()) < 1e-3 * problem.function(np.full(4, 9.0))


def test_armijo_that_finds_no_step_stops_or_goes_on():
    def wrong(on_failure):
        problem = quadratic()
        problem.gradient = lambda x: -A @ (x - CENTRE)  # uphill
        return problem, ArmijoSGD(problem.net, trials=4, on_failure=on_failure)

    problem, armijo = wrong("stop")
    with pytest.raises(DivergenceError, match="found no step down to"):
        armijo.step(problem)
    assert not problem.net.flat().any()
    problem, armijo = wrong("continue")
    armijo.step(problem)
    assert not problem.net.flat().any() and (armijo.t, armijo.last_step) == (armijo.lr, 0.0)


def test_a_trial_that_is_not_finite_is_refused_and_not_taken():
    def function(x):
        return np.inf if x[0] > 1.5 else (x[0] - 1) ** 2

    for optimizer in (lambda net: ArmijoSGD(net, lr=10), LBFGS):
        problem = Problem(function, lambda x: np.array([2 * (x[0] - 1), 0.0]), [-50.0, 0.0])
        method = optimizer(problem.net)
        for _ in range(40):
            method.step(problem)
        assert problem.net.flat()[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("make", [quadratic, rosenbrock, lambda: logistic(np.random.default_rng(0))])
def test_lbfgs_finds_what_scipy_finds(make):
    problem = make()
    theirs = optimize.minimize(
        problem.function,
        problem.net.flat(),
        jac=problem.gradient,
        method="L-BFGS-B",
        options={"gtol": 1e-10, "ftol": 0},
    )
    lbfgs = LBFGS(problem.net)
    for _ in range(80):
        lbfgs.step(problem)
        if np.abs(problem.gradient(problem.net.flat())).max() < 1e-9:
            break
    np.testing.assert_allclose(problem.net.flat(), theirs.x, atol=1e-6)
    assert lbfgs.evaluations == len(problem.calls) <= 3 * theirs.nfev


def test_the_two_loops_are_the_product_with_the_inverse_hessian(rng):
    """Against BFGS with the whole matrix, which the two loops never form."""
    lbfgs = LBFGS(quadratic().net, history=3)
    H = np.eye(4)
    s, y = rng.standard_normal((2, 3, 4))
    y = s @ A + 0.1 * y
    lbfgs.pairs = list(zip(s, y, strict=True))
    H *= (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for si, yi in lbfgs.pairs:
        V = np.eye(4) - np.outer(yi, si) / (yi @ si)
        H = V.T @ H @ V + np.outer(si, si) / (yi @ si)
    g = rng.standard_normal(4)
    np.testing.assert_allclose(lbfgs.direction(g), -H @ g, rtol=1e-12)


def test_lbfgs_steps_satisfy_the_wolfe_conditions():
    problem = rosenbrock()
    lbfgs = LBFGS(problem.net)
    for _ in range(20):
        x = problem.net.flat()
        g, d = problem.gradient(x), lbfgs.direction(problem.gradient(x))
        lbfgs.step(problem)
        moved, t = problem.net.flat(), lbfgs.last_step
        np.testing.assert_allclose(moved, x + t * d, rtol=1e-9, atol=1e-12)
        assert problem.function(moved) <= problem.function(x) + 1e-4 * t * g @ d
        assert problem.gradient(moved) @ d >= 0.9 * g @ d
        assert len(lbfgs.pairs) <= 10


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_lowers_the_loss_of_a_net_and_goes_on_from_its_state_with_the_same_bits(name, rng):
    image, target = rng.standard_normal((1, 12, 14, 1)).astype(np.float32), rng.integers(0, 2, (1, 9, 11))

    def run(steps, state=None, v=None):
        net = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=0)
        closure = image_closure(net, Example(image, target), SoftmaxCrossEntropy())
        optimizer = build(name, net)
        if state is not None:
            net.set_flat(v)
            optimizer.set_state(state)
        losses = [optimizer.step(closure) for _ in range(steps)]
        return losses, optimizer.state(), net.flat()

    losses, _, end = run(12)
    assert losses[-1] < losses[0]
    first, state, v = run(5)
    second, _, again = run(7, state, v)
    assert first + second == losses and (again == end).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda net: SGD(net, lr=0),
        lambda net: SGD(net, lr=float("nan")),
        lambda net: SGD(net, momentum=1),
        lambda net: Adam(net, lr=-1),
        lambda net: Adam(net, b1=1),
        lambda net: Adam(net, eps=0),
        lambda net: ArmijoSGD(net, shrink=1),
        lambda net: ArmijoSGD(net, trials=0),
        lambda net: ArmijoSGD(net, on_failure="hope"),
        lambda net: LBFGS(net, history=0),
        lambda net: LBFGS(net, c1=0.9, c2=0.1),
        lambda net: build("newton", net),
        lambda net: build("lbfgs", net, lr=1),
    ],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(UsageError):
        make(Net.from_spec("FC2", rng=0))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_loss_that_is_not_finite_is_a_divergence(name):
    problem = Problem(lambda x: np.nan, lambda x: x, [1.0, 1.0])
    with pytest.raises(DivergenceError, match="nan"):
        build(name, problem.net).step(problem)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_of_zero_moves_nothing(name):
    problem = Problem(lambda x: 1.0, np.zeros_like, [1.0, 2.0])
    optimizer = build(name, problem.net)
    for _ in range(3):
        optimizer.step(problem)
    assert problem.net.flat().tolist() == [1.0, 2.0]
