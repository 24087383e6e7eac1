"""Packages: charts and manifests of others, with what surrounds them."""
