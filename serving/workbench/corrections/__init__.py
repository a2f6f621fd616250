"""The page of corrections: what people and machines said that posts should have been called, and the way to training.

`asked` is what an address asks for, `downloads` the labelled files, `page` the addresses.
"""
