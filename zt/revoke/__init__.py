"""`zt revoke`: ends all access of a service to Vault."""
