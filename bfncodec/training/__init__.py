"""Training of models, from data to a model directory.

Read :mod:`~bfncodec.training.loop` first. It reads a configuration (`config`), has a task made of it (`tasks`: network,
data, loss), trains the task's network (`trainer`, with `agreement`, `muon`, `clock`, `processes`), reports on the way
(`report`, `plot`), and writes the model (`export`). Data come from `data` (images, text; `varied`) and `items`
(archives); `gaussian` has the terms of the loss of the Gaussian senders, and `grids` their step grids.
"""
