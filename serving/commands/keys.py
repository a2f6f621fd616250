"""The command that makes API keys."""

import argparse

from serving.commands.verbs import DONE, MISUSE, Verbs, add_verb, reply, say

SCOPES = ("predict", "feedback", "model", "metrics", "admin", "qa", "unmask")
"""What a key may do, as `serving.auth` has it, which is only imported once its dependencies are known to be there."""


def add(verbs: Verbs) -> None:
    """Nothing; `hash-key` is there."""
    keys = add_verb(
        verbs,
        "hash-key",
        hash_key,
        "make an API key and its entry for the keys file",
        "hash-key --name crm",
        "hash-key --name prometheus --scope metrics --expires-at 2027-01-01T00:00:00Z",
    )
    keys.add_argument("--name", required=True, help="who will have the key")
    keys.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated")
    keys.add_argument("--expires-at", help="a time with its zone")
    keys.add_argument("--posts-per-minute", type=int, help="its own limit, 0 for none; else that of the settings holds")


def hash_key(arguments: argparse.Namespace) -> int:
    """Makes a key, and the entry that the keys file needs of it. The key itself is kept nowhere."""
    from serving.auth import KeysFile, hash_key, new_key

    key = new_key()
    entry = {"name": arguments.name, "sha256": hash_key(key), "scopes": arguments.scope or ["predict"]}
    optional = {"expires_at": arguments.expires_at, "posts_per_minute": arguments.posts_per_minute}
    entry |= {field: value for field, value in optional.items() if value is not None}
    try:
        KeysFile.model_validate({"keys": [entry]})
    except ValueError:
        say(
            f"No key was made: --name is {arguments.name!r}, --expires-at is {arguments.expires_at!r} and "
            f"--posts-per-minute is {arguments.posts_per_minute!r}. Wanted: a name of 1 to 100 characters, a time with "
            "its zone, such as 2027-01-01T00:00:00Z, and a number of posts, 0 for no limit. Correct them."
        )
        return MISUSE
    say("Give `key` to the caller, and add `entry` to `keys` in the file of SIGNALBOX_API_KEYS_FILE.")
    reply({"key": key, "entry": entry})
    return DONE
