"""The platform's components and their Args, each imported when it is asked for: a command line loads no SDK."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.ingress.secure_ingress import SecureIngress, SecureIngressArgs
    from components.kyverno.policy_set import KyvernoPolicySet, KyvernoPolicySetArgs
    from components.mesh.security import MeshSecurity, MeshSecurityArgs
    from components.package.args import PackageArgs
    from components.package.package import Package
    from components.service.args.document import Platform
    from components.service.args.service import SecureServiceArgs
    from components.service.catalogue import platform_of_cluster
    from components.service.secure_service import SecureService
    from components.vault.platform import VaultPlatform, VaultPlatformArgs

__all__ = [
    "KyvernoPolicySet",
    "KyvernoPolicySetArgs",
    "MeshSecurity",
    "MeshSecurityArgs",
    "Package",
    "PackageArgs",
    "Platform",
    "SecureIngress",
    "SecureIngressArgs",
    "SecureService",
    "SecureServiceArgs",
    "VaultPlatform",
    "VaultPlatformArgs",
    "platform_of_cluster",
]

_MODULES = {
    "KyvernoPolicySet": "components.kyverno.policy_set",
    "MeshSecurity": "components.mesh.security",
    "Package": "components.package.package",
    "PackageArgs": "components.package.args",
    "Platform": "components.service.args.document",
    "SecureIngress": "components.ingress.secure_ingress",
    "SecureService": "components.service.secure_service",
    "SecureServiceArgs": "components.service.args.service",
    "VaultPlatform": "components.vault.platform",
    "platform_of_cluster": "components.service.catalogue",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name) or _MODULES.get(name.removesuffix("Args"))
    if name not in __all__ or module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
