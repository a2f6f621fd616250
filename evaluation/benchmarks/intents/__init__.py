"""Published intent sets: our trainer and its neighbours on the same texts, beside what others printed."""
