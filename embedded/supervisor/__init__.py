"""The control plane in a box: its processes, their certificates, and the controllers their charts deployed."""
