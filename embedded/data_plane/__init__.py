"""The data plane: each pod of the mesh in a network namespace of its own, with a real proxy in front of it."""
