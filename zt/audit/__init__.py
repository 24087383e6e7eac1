"""`zt audit`: shows who read which secret, from Vault's audit log."""
