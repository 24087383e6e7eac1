"""The package file: what a team declares about a chart of others."""
