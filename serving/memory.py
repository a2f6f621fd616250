"""Memory of the process: what the garbage collector need not walk again, and what goes back to the system."""

import ctypes
import gc


def keep_for_good() -> None:
    """Nothing; the collector no longer walks what lives now: libraries, the application, a model.

    Each full collection walked 100,000 objects that never die, with every thread standing still: 140 to 390 ms on a
    busy machine, every thousand requests (`docs/decisions/0017`). What is no longer used is still freed by its
    reference count; a model is, which a test holds.
    """
    gc.freeze()


def keep_what_lives() -> None:
    """Nothing; the collector no longer walks what lives now, after what does not was collected.

    For what the workbench makes and keeps long after the start, some 100,000 objects a scoring: with a desk open each
    full collection took 190 ms, in the middle of whatever page or answer came to it (docs/workbench.md).
    """
    gc.collect()
    keep_for_good()


def return_freed_memory() -> None:
    """Nothing; gives what a released model took back to the system, where the C library can be told to (glibc).

    It keeps it otherwise, torn into pieces that the next model does not fit: measured in docs/operations.md.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
