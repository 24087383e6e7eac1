"""Pure functions that return the manifests of a service's objects."""
