"""What tests of several packages share: stacks, a recording monitor, clusters."""
