"""The overlay of a local control plane: the addresses of its parts, but nothing that they enforce."""

from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import StrictStr, ValidationError

from components.config.vault import VaultBootstrap, VaultLogin, VaultSettings
from components.schema.fields import AbsolutePath, Cidr, HttpsAddress
from components.schema.problem import ConfigError
from components.schema.typed_file import TypedFile, problems_of
from components.schema.yaml_text import decoded, line_finder, read_yaml


class OverlayVault(TypedFile):
    """The address of an external Vault."""

    address: HttpsAddress
    ca_cert_file: AbsolutePath | None = None
    login: VaultLogin = VaultLogin()
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    audit_directory: AbsolutePath | None = None
    deployers_ca_cert_file: AbsolutePath | None = None
    """The authority behind `login.certFile`, if the first `pulumi up` initialises this Vault."""
    cidrs: tuple[Cidr, ...] = ()

    def bootstrap(self, bootstrap: VaultBootstrap | None) -> VaultBootstrap | None:
        """The stack's bootstrap, with a login by the certificates of this overlay."""
        if self.deployers_ca_cert_file is None:
            return bootstrap
        certificate = {"caCertFile": self.deployers_ca_cert_file, "commonName": self.login.role}
        overlay = {
            "login": {"cert": certificate},
            "plainKeysReason": "they stay with their control plane",
        }
        here = VaultBootstrap.model_validate(overlay)
        return bootstrap.model_copy(update={"login": here.login}) if bootstrap else here


class OverlayAcme(TypedFile):
    """The address of an ACME server."""

    directory: StrictStr
    ca_bundle_file: AbsolutePath


class Overlay(TypedFile):
    """The addresses of the parts of a local control plane, but nothing that they enforce."""

    vault: OverlayVault | None = None
    acme: OverlayAcme | None = None
    charts: AbsolutePath | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an overlay from a file. Raises `ConfigError` with the file, line and key of each problem."""
        text = decoded(path.read_bytes(), path.name)
        values = read_yaml(text, path.name)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(problems_of(error, cls, path.name, line_of=line_finder(text))) from error

    def place(self, vault: VaultSettings) -> VaultSettings:
        """The stack's Vault settings with the addresses of this overlay, whose Vault exists already with its data."""
        if self.vault is None:
            return vault
        here = self.vault
        audit_paths = vault.audit_paths
        if here.audit_directory is not None:
            audit_paths = tuple(
                path if path == "stdout" else f"{here.audit_directory}/{PurePosixPath(path).name}"
                for path in audit_paths
            )
        places = here.model_dump(include={"address", "ca_cert_file", "kubernetes_host", "cidrs"})
        # An overlay's Vault ends with its control plane, so nothing in it outlives the stack.
        fixed = {
            "mode": "external",
            "injector": False,
            # What pods of Vault would mount.
            "tls_secret": None,
            "authorities": None,
            "retain_data": False,
            "bootstrap": here.bootstrap(vault.bootstrap),
        }
        return vault.model_copy(update={**places, **fixed, "login": here.login, "audit_paths": audit_paths})
