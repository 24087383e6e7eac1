"""The stack file and the posture table, read and checked."""
