"""How good is a model, and how sure is that? Benchmarks, metrics with intervals, comparisons."""
