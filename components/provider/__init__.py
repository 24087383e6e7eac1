"""The package `zero-trust` for programs in any language: one component, `SecureService`, for the services of a team.

`pulumi package add` of this folder at a tag makes the SDK of a program's language. What it takes, and why:
docs/adr/0018-package.md.
"""
