"""`zt new`: writes the file of a service, unless the program would refuse it."""
