"""`zt show`: what a service is on a stack, and from which file each key comes."""
