"""The `zt` command: everything that a person or a pipeline does with the platform besides `pulumi up`."""
