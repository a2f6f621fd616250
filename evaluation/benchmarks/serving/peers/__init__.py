"""One program for each peer, run by the peer's own environment: nothing of ours may be imported but `model`."""
