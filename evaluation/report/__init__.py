"""The confusion report: one HTML file that needs no network, the same figures as JSON, and the errors as CSV."""
