"""Vault: its server, logins, engines and snapshots."""
