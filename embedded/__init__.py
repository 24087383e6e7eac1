"""The control plane in a box: pinned tools, supervised processes and provider stand-ins, without any cluster."""
