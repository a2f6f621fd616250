"""The gate: a challenger held against the champion on the same labelled posts, with a report to read."""
