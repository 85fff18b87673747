"""Transformers for text under the erasure sender: trained, with integers, compiled."""
