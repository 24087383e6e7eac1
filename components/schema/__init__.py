"""The parts that all files written by people share. It imports nothing else of this project."""
