"""How good a bundle is: predictions, metrics, risk, the proof of thresholds, and the reports that people read."""
