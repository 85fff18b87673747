"""Codecs: a model at work, items to payloads and back."""
