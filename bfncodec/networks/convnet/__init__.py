"""Masked convolutions for pictures under the erasure sender: trained, with integers, compiled."""
