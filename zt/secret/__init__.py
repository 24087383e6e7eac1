"""`zt secret`: gives Vault the secrets that come from outside, and lists which are missing."""
