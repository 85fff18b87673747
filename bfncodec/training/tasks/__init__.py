"""What is trained: for each kind of model its data, its loss and what validation measures."""
