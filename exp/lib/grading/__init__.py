"""Is an answer right? Find it in a text, and compare it with the gold one."""
