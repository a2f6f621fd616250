"""How a model is made: recipe, encoder, fine-tuning, export, quantisation, gates, tracking. Alone knows torch."""

import models  # noqa: F401 - first of all: it turns the telemetry of onnxruntime off
