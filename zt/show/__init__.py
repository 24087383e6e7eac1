"""`zt show`: what a service or a package is on a stack, and from which file each key comes."""
