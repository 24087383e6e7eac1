"""The databases of a stack file that are services of the stack, checked against the service files."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError

from components.config.database import DatabaseSettings
from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.kube.names import VAULT_CALLER, VAULT_INBOUND
from components.kube.service_ref import ServiceRef
from components.schema.problem import Problem
from components.service.file.checks import KnownDatabase
from components.service.file.service import ServiceSpec
from components.service.file.sharing import owners_first


def databases_of(settings: Settings, team: str | None = None) -> dict[str, KnownDatabase]:
    """The databases of a team, or those of the stack's own services."""
    return {
        name: KnownDatabase(database.address, database.engine)
        for name, database in settings.databases.items()
        if database.team == team
    }


def servers(settings: Settings) -> Mapping[str, ServiceRef]:
    """The databases of a stack that are services, by name."""
    return {name: database.server for name, database in settings.databases.items() if database.server}


def database_problems(settings: Settings, services: Sequence[ServiceSpec], source: StackSource) -> Iterator[Problem]:
    """The problems of databases that are services of the stack."""
    by_ref = {spec.ref: spec for spec in services}
    named = servers(settings)
    for name in named:
        yield from _problems(name, settings.databases[name], settings, by_ref, source)
    try:
        owners_first(services, named)
    except CycleError as error:
        circle = " -> ".join(map(str, reversed(error.args[1])))
        message = f"each of these waits for the next one, for a secret or for users in it: {circle}"
        yield source.problem(f"databases.{next(iter(named))}.service", message)


def _problems(
    name: str,
    database: DatabaseSettings,
    settings: Settings,
    by_ref: Mapping[ServiceRef, ServiceSpec],
    source: StackSource,
) -> Iterator[Problem]:
    key = f"databases.{name}.service"
    spec = by_ref.get(database.server)
    if database.team is not None:
        message = "the server is a service of this stack, whose secrets a team cannot have: write the host of another"
        yield source.problem(f"databases.{name}.team", message, database.team)
    if settings.vault.mode == "external":
        message = "an external Vault does not reach the network of the pods: write the host that it reaches"
        yield source.problem(key, message, database.service)
    if settings.mesh.data_plane == "ambient":
        message = "a proxy in each pod has a port for Vault, and the ambient mode has none: write the host of another"
        yield source.problem(key, message, database.service)
    if spec is None:
        yield source.problem(key, "no such service", database.service, sorted(map(str, by_ref)))
        return
    if spec.protocol != "tcp":
        yield source.problem(key, f"{spec.ref} speaks {spec.protocol}: a database speaks tcp", database.service)
    if not spec.lets_vault_in:
        message = f"{spec.ref} does not let Vault in: add {VAULT_CALLER} to its callers"
        yield source.problem(key, message, database.service)
    listening = {*spec.open_ports, *spec.peers, *([spec.metrics.port] if spec.metrics else [])}
    if VAULT_INBOUND in listening:
        message = f"{spec.ref} listens on {VAULT_INBOUND}, at which Vault comes: give it another port"
        yield source.problem(key, message, database.service)
    if database.admin_from:
        secret, _, field = database.admin_from.partition("/")
        generated = [f"{each}/{one}" for each, kept in spec.secrets.items() for one in kept.generate]
        if database.admin_from not in generated:
            message = f"{spec.ref} generates no field {field} in a secret {secret}"
            yield source.problem(f"databases.{name}.adminFrom", message, legal=sorted(generated))
