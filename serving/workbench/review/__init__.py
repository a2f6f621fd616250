"""The review queue: people read decisions of the journal, one key a label, and nothing that they said is lost.

`queues` is which posts come next and what has been read, `guide` the labelling guide beside them, `page` the
addresses, `review.js` the keys and the outbox.
"""
