"""Change a model's weights: load a policy, encode conversations, train, log."""
