"""One application: its file, the arguments made of it, the manifests, and the component."""
