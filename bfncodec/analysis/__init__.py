"""Measuring models: bits by term, samples, plots."""
