"""The cockpit: what comes in now, what became of it, and whether anything is out of the ordinary.

Owns everything that is computed by itself while somebody watches: once for all of them, and never on the event loop.
"""
