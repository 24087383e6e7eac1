"""`zt diff`: says what a change means for security."""
