"""The host: what its program gives and has set, its processor cores and devices, and what is compiled for them."""
