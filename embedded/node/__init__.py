"""A real node: kubelet, containerd and runc beside the nodes that KWOK simulates, in namespaces of their own."""
