"""The objects that a chart renders, and whether they are what the package file says."""
