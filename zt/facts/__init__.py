"""The facts of a plan, its grants and its settings, which `zt diff` compares and `zt report` shows."""
