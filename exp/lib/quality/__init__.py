"""Is a problem worth training on? Rules, near-duplicates, benchmark contamination, diversity."""
