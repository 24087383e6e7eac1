"""What all layers share when they write Kubernetes objects: charts, manifests, custom objects, fixed names."""
