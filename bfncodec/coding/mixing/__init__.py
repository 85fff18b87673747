"""Context mixing: experts that learn from the file itself, mixed with a network's predictions."""
