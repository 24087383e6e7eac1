"""The live cluster and Vault of a stack: how commands connect to them, and what they read there."""
