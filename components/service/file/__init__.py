"""The service file that a team writes, its keys, and the checks across all files."""
