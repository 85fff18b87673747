"""Receivers of the Gaussian senders: from a network's numbers to distributions that a coder can use."""
