"""The page of must-not-answer rules: what a rule would have held back before it is made, those that hold, and history.

`preview` is what a rule would have done, `page` the addresses.
"""
