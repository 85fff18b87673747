"""Networks for pictures whose lines begin one after the other, each sent in a few noisy steps."""
