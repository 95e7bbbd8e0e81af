"""Ask a model: requests and engines, the choice among them, and the loop that keeps them busy."""
