"""Show a run: what its files say, as figures, tables and charts on one page."""
