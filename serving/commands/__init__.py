"""The commands of the server, `python -m serving VERB`: one module for each family of them.

A module adds its verbs to the parser; nothing of the server is imported before one of them is run.
"""
