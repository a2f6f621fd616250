"""Other people's tables as labelled posts: reading, mapping, suggesting a mapping."""
