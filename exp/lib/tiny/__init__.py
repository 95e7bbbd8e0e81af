"""The embedded models: procedural problems, how the models are made, and the true answers."""
