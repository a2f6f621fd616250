"""Labelling by people: suggestions, tasks for Label Studio and Argilla, what comes back, and how far people agree."""
