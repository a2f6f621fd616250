"""The journal: every decision kept in a database, without an answer ever waiting for it.

`entry` is what is kept, `journal` the buffer and the thread that writes it, `store` the database, `replay` the proof
that the same input gives the same answer again. What loads SQLAlchemy is imported on the writing thread alone.
"""
