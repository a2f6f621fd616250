"""Programs that run in an environment of their own, with another library in our trainer's place."""
