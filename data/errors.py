"""The error of everything that is wrong with the user's data."""


class DataError(Exception):
    """Input that cannot be used; the message says what, where and what to do about it, in one line."""


class UnreachableError(DataError):
    """Data that is elsewhere and could not be asked for; it may be there all the same."""
