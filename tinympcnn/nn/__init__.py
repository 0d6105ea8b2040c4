"""The learner's wing: layers, fragments, sizes, losses and optimisers, and the paper's algorithms literally."""
