"""`zt vault`: copies Vault's storage to a file, and restores it."""
