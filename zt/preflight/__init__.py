"""`zt preflight`: what a stack needs of its cluster and its Vault, asked before the first `pulumi up`."""
