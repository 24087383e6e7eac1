"""Istio: an identity on every connection, and no connection that nobody allowed."""
