"""Teams with repositories, stacks and deployers of their own: their rights, and what the platform tells them."""
