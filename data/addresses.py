"""Addresses without what is secret in them: what is shown, written down and compared holds no password and no key."""

import re

HIDDEN = "***"

NOT_WHOLE = (
    "its secrets are not kept with a run: name the file that you wrote, give the address again as section.key=value,"
    " or leave secrets to the store's own settings (environment variables, ~/.aws, ~/.netrc)"
)
"""What is said of an address whose secrets were hidden, where it is to be opened."""

CONTAINERS = ("abfs", "abfss", "adl", "az", "wasb", "wasbs")
"""Schemes in which a container's name stands before the @, not a user's."""

SECRET_PARTS = ("token", "secret", "passw", "signature", "credential", "apikey", "accesskey", "auth", "session")
SECRET_NAMES = ("sig", "key", "keypairid", "pass", "pwd", "sas", "jwt", "policy", "expires")
SECRET_BEGINNINGS = ("xamz", "xgoog")
"""Names of query parameters, written small and without marks, that hold a secret or change with one."""

HARMLESS = re.compile("authors?|tokeni[sz]er|(max|min)?tokens")

# Up to the @ before the path; or, where a password has a slash that is not encoded, a user, a colon and no port.
_USER = re.compile(
    r'([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#"]*|[^\s/?#@":\[]+:(?!:|\d*(?:[/?#\s"]|$))[^\s@"]*)@',
)
_PARAMETER = re.compile(r"""([?&;])([^\s=?&;"']+)=([^\s&;#"']*)""")


def without_secrets(text: str) -> str:
    """The text with HIDDEN in place of users and passwords in its addresses, and of secrets in their queries.

    The same text comes of another password, so that what is recognised by an address is recognised after a change.
    """
    return _PARAMETER.sub(_without_value, _USER.sub(_without_user, text))


def is_whole(address: str) -> bool:
    """Whether the address can be opened: nothing has been hidden in it."""
    return f"//{HIDDEN}@" not in address and f"={HIDDEN}" not in address


def _without_user(match: re.Match[str]) -> str:
    scheme, user = match.groups()
    return match[0] if scheme.lower() in CONTAINERS and ":" not in user else f"{scheme}://{HIDDEN}@"


def _without_value(match: re.Match[str]) -> str:
    name = re.sub("[^a-z0-9]", "", match[2].lower())
    is_secret = (
        name in SECRET_NAMES
        or name.startswith(SECRET_BEGINNINGS)
        or (any(part in name for part in SECRET_PARTS) and not HARMLESS.fullmatch(name))
    )
    return f"{match[1]}{match[2]}={HIDDEN}" if is_secret else match[0]
