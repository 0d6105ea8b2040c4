"""Training: the data set, the objective, the loop over epochs, and checkpoints that survive an interruption."""
