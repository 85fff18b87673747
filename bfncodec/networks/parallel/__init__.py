"""Networks for data of which all dimensions are sent a little at a time, as in the paper."""
