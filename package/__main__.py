"""The package `zero-trust` for programs in any language: `pulumi package add` of this folder."""

from importlib.metadata import version

from pulumi.provider.experimental import component_provider_host

from components.service.packaged import PACKAGE, TeamService

if __name__ == "__main__":
    component_provider_host([TeamService], PACKAGE, version=version(PACKAGE))
