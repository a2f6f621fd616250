"""The threshold desk: from a risk budget to thresholds, what they prove, which posts change action, and who approved.

`openings` is what a desk is opened with, `page` the addresses; the computation is `evaluation.workbench.desk`.
"""
