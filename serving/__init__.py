"""How a model is used: the HTTP interface of the design's section 5 over one bundle.

Uses `data`'s core and `models` alone: no torch, no transformers, nothing of evaluation or training.
"""
