"""What is a completion paid? Rewards over a batch, and the lint that tries to cheat them."""
