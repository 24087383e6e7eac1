"""The program of a stack: its input, the arguments of each component, and the outputs."""
