"""Integer frequencies to bits and back: the layer that knows neither images nor text nor networks."""
