"""Tasks of a training, one file for each kind of model: its network, its data, its loss and its config.json."""
