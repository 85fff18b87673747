"""Training of models, from data to a model directory."""
