"""A taxonomy that is not the built-in one, as a file and as a value."""

from data.taxonomy import Taxonomy

OWN_TOML = """
version = "acme-1"
needs_no_reply = ["thanks", "chatter"]
no_reply_intents = ["chatter"]

[intents]
where_is_it = "Where is my thing, and when does it come?"
broken_thing = "The thing came, and does not work."
thanks = "Praise of the thing or of us."
chatter = "Asks for nothing."
"""
OWN = Taxonomy(
    version="acme-1",
    needs_no_reply=("thanks", "chatter"),
    no_reply_intents=("chatter",),
    intents={
        "where_is_it": "Where is my thing, and when does it come?",
        "broken_thing": "The thing came, and does not work.",
        "thanks": "Praise of the thing or of us.",
        "chatter": "Asks for nothing.",
    },
)
