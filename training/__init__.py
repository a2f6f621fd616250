"""How a model is made: recipe, encoder, fine-tuning, export, quantisation, gates, tracking. Alone knows torch."""
