"""For each component, its arguments made of the stack file and the posture."""
