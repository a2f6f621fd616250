"""What a post is: the schema, the taxonomy, the model's input text, redaction, and the labelled corpus.

The core (`post`, `taxonomy`, `handles`, `redaction`, `rendering`) is imported by the server and stays light;
reading, checking and splitting files (`sources`, `checks`, `splits`) may use the `evaluate` group.
"""
