"""The error of everything that is wrong with the user's data."""

from data.addresses import without_secrets


class DataError(Exception):
    """Input that cannot be used; the message says what, where and what to do about it, in one line, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class UnreachableError(DataError):
    """Data that is elsewhere and could not be asked for; it may be there all the same."""
