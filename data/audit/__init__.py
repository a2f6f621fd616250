"""Which labels of a set are likely wrong, as a list for people to go through, and what they decided put into effect."""
