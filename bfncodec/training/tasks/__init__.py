"""What is trained: for each kind of model its network, its data, its loss and what its config.json says."""
