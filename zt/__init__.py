"""The `zt` command: what a person or a pipeline asks of the platform beside `pulumi up`."""
