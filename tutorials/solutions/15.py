"""Solutions of tutorial 15's exercises, and typical wrong answers."""

import statistics

import numpy as np
from course.grading import Wrong


def rms(x, array_module):
    """Return the root of the mean square."""
    xp = array_module(x)
    return xp.sqrt((x * x).mean())


def median_seconds(work, synchronise, clock, repeats):
    """Return the median time of a call, after a warm-up, waiting for the device."""
    work()
    synchronise()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        synchronise()
        times.append(clock() - start)
    return statistics.median(times)


def names_numpy(x, array_module):
    """Name numpy."""
    return np.sqrt((x * x).mean())


def no_root(x, array_module):
    """Forget the root."""
    return (x * x).mean()


def leaves_the_device(x, array_module):
    """Return a Python number."""
    value = array_module(x).sqrt((x * x).mean())
    return float(getattr(value, "values", value))


def no_waiting(work, synchronise, clock, repeats):
    """Never wait."""
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return statistics.median(times)


def started_early(work, synchronise, clock, repeats):
    """Warm up, and do not wait for it."""
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        synchronise()
        times.append(clock() - start)
    return statistics.median(times)


def no_warm_up(work, synchronise, clock, repeats):
    """Time the first call, too."""
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        synchronise()
        times.append(clock() - start)
    return statistics.median(times)


def mean(work, synchronise, clock, repeats):
    """Take the mean."""
    work()
    synchronise()
    start = clock()
    for _ in range(repeats):
        work()
        synchronise()
    return (clock() - start) / repeats


WRONG = {
    "numpy named": Wrong("rms", names_numpy, "rms names numpy"),
    "no root": Wrong("rms", no_root, "rms of a NumPy array"),
    "leaves the device": Wrong("rms", leaves_the_device, "has left the device"),
    "no waiting": Wrong("median_seconds", no_waiting, "synchronise before you stop it"),
    "warm-up not waited for": Wrong("median_seconds", started_early, "synchronise before, too"),
    "no warm-up": Wrong("median_seconds", no_warm_up, "the first call was timed too"),
    "mean": Wrong("median_seconds", mean, "this is the mean"),
}
