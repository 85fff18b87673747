"""Networks for sequences whose symbols begin one after the other, each sent in a few noisy steps."""
