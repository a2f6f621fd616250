"""How much of planted label noise and planted copies the audit of labels finds."""
