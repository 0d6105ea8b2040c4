"""The ways in which a call can go wrong that are not bugs, the notices about strange input, and numbers in messages."""


class UsageError(ValueError):
    """What was asked for makes no sense (a spec that does not parse, zero epochs): exit code 2."""


class DataError(ValueError):
    """What was handed over cannot be used (a truncated file, sizes that disagree, NaN pixels): exit code 1."""


class DivergenceError(DataError):
    """Training met a loss or gradient that is not finite; the last good checkpoint is kept."""


class Notice(UserWarning):
    """Something that a user should know of the input; the command line prints it on standard error."""


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where the number wants it.

    Examples
    --------
    >>> counted(1, "image"), counted(2, "image")
    ('1 image', '2 images')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"
