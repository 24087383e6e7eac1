"""The images of the node, assembled from what is built or packaged: none is pulled."""
