"""The differences between the facts of two plans: a sentence for each, and whether it is weaker or stronger."""
