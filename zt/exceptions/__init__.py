"""`zt exceptions`: lists the exceptions of service files and stack files."""
