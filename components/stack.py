"""What one run works on: the stack's settings, posture, places and services, read and checked before any resource."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pulumi
from pulumi.runtime import config as runtime_config

from components.mesh_metadata import namespace_label
from components.policy_exceptions import commit_date
from components.posture import Action, Posture
from components.service_files import Admission, read_services
from components.service_spec import ServiceSpec
from components.settings import Settings, decode_config, parse_settings
from components.settings_platform import Overlay
from components.typed_file import ConfigError, Problem

OVERLAY_VARIABLE = "ZERO_TRUST_OVERLAY"


@dataclass(frozen=True)
class Stack:
    """The whole input of a run."""

    file: str
    settings: Settings
    posture: Posture
    charts_dir: str | None
    services: tuple[ServiceSpec, ...]

    @property
    def mesh(self) -> bool:
        """Whether a mesh runs."""
        return self.posture.mtls is not None

    @property
    def ambient(self) -> bool:
        """Whether the nodes' proxies carry the mesh, and no pod has one of its own."""
        return self.mesh and self.settings.mesh.data_plane == "ambient"

    @property
    def route(self) -> str:
        """The kind of route a public service gets: no issuer, no gateway; an Ingress is without TLS then."""
        kind = self.settings.ingress.kind
        return kind if self.posture.issuer != "none" or kind == "ingress" else ""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of the services."""
        return tuple(sorted({spec.namespace for spec in self.services}))

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """The labels of a service namespace: its team, when there is one alone, and whether its pods join the mesh."""
        teams = {spec.team for spec in self.services if spec.namespace == namespace}
        team = {"team": teams.pop()} if len(teams) == 1 else {}
        return {**team, **namespace_label(self.settings.mesh.revision or "", self.ambient)} if self.mesh else team

    @property
    def public(self) -> tuple[ServiceSpec, ...]:
        """The services with a public host."""
        return tuple(spec for spec in self.services if spec.hosts)


def load_stack(root: Path) -> Stack:
    """The input of the run that Pulumi started. Raises `ConfigError` with every problem, before any resource."""
    file = f"Pulumi.{pulumi.get_stack()}.yaml"
    # The SDK has no public list of a stack's keys, and without one an unknown key could not be refused.
    config = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    secret_keys = frozenset(
        key
        for key in config
        if runtime_config.is_config_secret(key) or key in runtime_config.get_config_secret_keys_env()
    )
    overlay = read_overlay(os.environ.get(OVERLAY_VARIABLE))
    settings = parse_settings(decode_config(config, secret_keys, file), file, overlay)
    charts = overlay.charts if overlay else None
    return read_stack(root, file, settings, charts, lambda: settings.as_of or commit_date(root))


def read_stack(
    root: Path,
    file: str,
    settings: Settings,
    charts_dir: str | None = None,
    as_of: Callable[[], date | None] = lambda: None,
) -> Stack:
    """The input of a run with these settings and the services of a project, without Pulumi.

    `as_of` gives the day that exceptions are judged on; without it none is expired. Raises `ConfigError` with every
    problem of the service files.
    """
    posture = settings.decisions()
    admission = Admission(
        # A stack whose rules refuse nothing may run any image.
        registries=settings.registries if posture.critical is Action.DENY else (),
        api_server_reachable=bool(settings.api_server_cidrs) or not posture.network_policies,
        as_of=as_of,
        vault=posture.vault,
        databases={name: database.host for name, database in settings.databases.items()},
        unsaid=settings.ingress.unsaid_of_a_service,
        signed=settings.vault.pki.domains if settings.vault.pki and posture.issuer == "vault" else None,
        scraper=settings.mesh.scraper is not None or not posture.closed,
        ambient=settings.mesh.data_plane == "ambient",
    )
    return Stack(file, settings, posture, charts_dir, read_services(root / "services", admission))


def read_overlay(path: str | None) -> Overlay | None:
    """The overlay that the environment names. Raises `ConfigError` on a file that is not there or not an overlay."""
    if not path:
        return None
    try:
        return Overlay.read(Path(path))
    except OSError as error:
        raise ConfigError([Problem(OVERLAY_VARIABLE, path, error.strerror or "cannot be read")]) from error
