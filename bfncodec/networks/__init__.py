"""The networks: each as it is trained, and its integer twin, which files are coded with."""
