"""Who runs a command, for what is kept with a name."""

import getpass


def user_name() -> str:
    """The user, as far as the system knows: in an image one may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # before Python 3.13, and since
        return "unknown"
