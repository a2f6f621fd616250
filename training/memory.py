"""How much torch keeps from one step to the next. It reads this once, before it first computes."""

import os

_CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
"""Two layers of oneDNN, which multiplies matrices in bfloat16; both are counted in shapes."""
_SHAPES = 64
"""Of a thousand each, which is what they would keep: posts have so many lengths that a training grew by 4 MB a step
for its first hundred steps, and was no slower with 8 (22.4 against 22.7 s of processor time for 50 steps)."""


def bound_caches() -> None:
    """Nothing; from here on torch, and every process that is started, keeps few shapes. What is set already stands."""
    for name in _CACHES:
        os.environ.setdefault(name, str(_SHAPES))
