"""What a killed update leaves in a stack's state, and how the next one completes.

For `zt resume`, on anybody's cluster, and for the embedded control plane, which both import it.
"""
