"""`zt package init`: the first file of a package, from what its chart renders and what the rules say of it."""
