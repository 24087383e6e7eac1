"""The statements with which Vault makes and removes a service's users in a database, by engine."""
