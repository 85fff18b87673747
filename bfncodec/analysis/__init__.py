"""Models looked at: their bits term by term, their samples, and plots of both."""
