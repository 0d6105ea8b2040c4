"""The ways in which a call can go wrong that are not bugs, and the notices about input that is not what it seems."""


class UsageError(ValueError):
    """What was asked for makes no sense (a spec that does not parse, zero epochs): exit code 2."""


class DataError(ValueError):
    """What was handed over cannot be used (a truncated file, sizes that disagree, NaN pixels): exit code 1."""


class DivergenceError(DataError):
    """Training met a loss or gradient that is not finite; the last good checkpoint is kept."""


class Notice(UserWarning):
    """Something that a user should know of the input; the command line prints it on standard error."""
