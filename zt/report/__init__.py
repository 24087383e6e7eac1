"""`zt report`: everything known about a stack, as an HTML page and as JSON."""
