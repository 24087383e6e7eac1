"""`zt consent`: which calls lack their callee's consent, and where it has to be written."""
