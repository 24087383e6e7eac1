"""The project's files, and what several commands do with them."""
