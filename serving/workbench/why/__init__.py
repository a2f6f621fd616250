"""Why one post was decided as it was: the story of a decision, what moved it, and what would flip it.

`page` is the addresses, `judges` who explains, `explanations` what was explained last, `telling` how it is said,
`neighbourhood` the labelled posts near it, `tries` posts that somebody types. The computation is
`evaluation.workbench.evidence` and `neighbours`.
"""
