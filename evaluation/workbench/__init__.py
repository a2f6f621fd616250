"""What the QA workbench computes: pure functions on frozen values. Owns the figures; pages and tables are serving's."""
