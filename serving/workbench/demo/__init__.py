"""A journal of its own filled with an invented month, so that a newcomer sees every page alive."""
