"""The platform's components: each module holds its Args, its pure manifest builders and the class that wires them."""
