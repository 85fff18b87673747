"""What a text says about itself: context models, mixed with the prediction of a network."""
