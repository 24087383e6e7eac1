"""Secrets that several services read: `from` in the reader's file, and `readers` in the owner's.

One secret has one path in Vault and one owner. Without the owner's consent any team could have another's secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

from components.kube.service_ref import ServiceRef
from components.schema.problem import Key
from components.service.file.checks import Finding
from components.service.file.secrets import SecretSpec
from components.service.file.service import ServiceSpec

_NONE: Mapping[str, ServiceRef] = MappingProxyType({})


@dataclass(frozen=True, order=True)
class SharedSecret:
    """A secret by its owner and its name there."""

    owner: ServiceRef
    name: str

    @classmethod
    def parse(cls, text: str, namespace: str) -> "SharedSecret":
        """The secret that a file of a namespace writes as `service/secret` or `namespace/service/secret`."""
        service, _, name = text.rpartition("/")
        return cls(ServiceRef.parse(service, namespace), name)

    def __str__(self) -> str:
        """Its path below the KV mount."""
        return f"{self.owner}/{self.name}"


def shared_by(spec: ServiceSpec) -> Mapping[str, SharedSecret]:
    """The secrets of others that a service reads, by their names in its file."""
    return {
        name: SharedSecret.parse(secret.from_, spec.namespace)
        for name, secret in spec.secrets.items()
        if secret.from_ is not None
    }


def fields_of(specs: Sequence[ServiceSpec]) -> Mapping[SharedSecret, tuple[str, ...]]:
    """The fields of every secret that a service owns."""
    return {
        SharedSecret(spec.ref, name): secret.fields
        for spec in specs
        for name, secret in spec.secrets.items()
        if secret.from_ is None
    }


def readers_of(spec: ServiceSpec, secret: SecretSpec) -> tuple[ServiceRef, ...]:
    """The services that its owner lets read a secret."""
    return tuple(ServiceRef.parse(reader, spec.namespace) for reader in secret.readers)


def sharing_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """The problems of `from` and `readers`."""
    by_ref = {spec.ref: spec for spec in specs}
    for spec in specs:
        for name, secret in shared_by(spec).items():
            yield from _reading(spec, name, secret, by_ref)
        for name, secret in spec.secrets.items():
            yield from _readers(spec, name, secret, by_ref)
    yield from _circle(specs, by_ref)


def _reading(
    spec: ServiceSpec, name: str, secret: SharedSecret, by_ref: Mapping[ServiceRef, ServiceSpec]
) -> Iterator[Finding]:
    key, written = ("secrets", name, "from"), str(spec.secrets[name].from_)
    owner = by_ref.get(secret.owner)
    kept = owner.secrets.get(secret.name) if owner else None
    if owner is None or kept is None:
        yield spec, key, "no such secret of a service", repr(written), tuple(sorted(_offered(spec, by_ref)))
    elif owner is spec:
        yield spec, key, "its own secret needs no from: read it by its own name", repr(written), ()
    elif kept.from_ is not None:
        yield spec, key, f"it is not {secret.owner.name}'s own: name its owner", repr(written), (kept.from_,)
    elif spec.ref not in readers_of(owner, kept):
        reader = spec.ref.seen_from(owner.namespace)
        message = f"{reader} reads it, and it does not agree: add {reader} here, or take the secret out of {reader}"
        consent = ("secrets", secret.name, "readers")
        yield owner, consent, message, repr(list(kept.readers)), (*kept.readers, reader)
    elif problem := spec.secrets[name].template_problem(kept.fields):
        yield spec, ("secrets", name, "template"), problem, "", ()
    elif wrong := _missing_variable(spec, name, kept.fields):
        variable, written = wrong
        legal = tuple(f"{name}/{field}" for field in kept.fields)
        yield spec, ("secretEnv", "variables", variable), "no field of the secret", repr(written), legal
    elif spec.secrets[name].template is None and any("\n" in value for value in kept.values.values()):
        message = "a value of several lines breaks the default file: write a template, as {{ .Data.data | toJSON }}"
        yield spec, ("secrets", name), message, "", ()


def _missing_variable(spec: ServiceSpec, secret: str, fields: Sequence[str]) -> tuple[str, str] | None:
    """The first variable with a field that a secret has not, and what is written there."""
    if spec.secret_env is None:
        return None
    sources = spec.secret_env.sources().items()
    wrong = ((name, f"{of}/{field}") for name, (of, field) in sources if of == secret and field not in fields)
    return next(wrong, None)


def _offered(spec: ServiceSpec, by_ref: Mapping[ServiceRef, ServiceSpec]) -> Iterator[str]:
    """The secrets that a service may read, as its file would write them."""
    for owner in by_ref.values():
        for name, secret in owner.secrets.items():
            if spec.ref in readers_of(owner, secret):
                yield f"{owner.ref.seen_from(spec.namespace)}/{name}"


def _readers(
    spec: ServiceSpec, name: str, secret: SecretSpec, by_ref: Mapping[ServiceRef, ServiceSpec]
) -> Iterator[Finding]:
    legal = tuple(sorted(ref.seen_from(spec.namespace) for ref in by_ref if ref != spec.ref))
    for number, reader in enumerate(readers_of(spec, secret)):
        key: Key = ("secrets", name, "readers", number)
        if reader == spec.ref:
            yield spec, key, "it reads its own secrets anyhow", repr(secret.readers[number]), legal
        elif reader not in by_ref:
            message = "no such service, and a later one of that name could read it"
            yield spec, key, message, repr(secret.readers[number]), legal


def _circle(specs: Sequence[ServiceSpec], by_ref: Mapping[ServiceRef, ServiceSpec]) -> Iterator[Finding]:
    """Services that read secrets of each other: none of them could be made first."""
    try:
        owners_first(specs)
    except CycleError as error:
        circle: list[ServiceRef] = error.args[1]
        spec = by_ref[min(circle)]
        name = next(name for name, secret in shared_by(spec).items() if secret.owner in circle)
        among = ", ".join(sorted({str(ref) for ref in circle}))
        message = f"{among} read secrets of each other, so that none can be made first: let one of them own them all"
        yield spec, ("secrets", name, "from"), message, repr(spec.secrets[name].from_), ()


def owners_first(specs: Sequence[ServiceSpec], servers: Mapping[str, ServiceRef] = _NONE) -> list[ServiceRef]:
    """The services, each behind those whose secrets it reads, and behind the databases that it has users in.

    `servers` are the databases of the stack that are services. Raises `CycleError` when there is no such order.
    """
    known = {spec.ref for spec in specs}
    graph: dict[ServiceRef, set[ServiceRef]] = {}
    for spec in specs:
        owners = {secret.owner for secret in shared_by(spec).values()} - {spec.ref}
        databases = {servers[d.connection] for d in spec.all_databases.values() if d.connection in servers}
        graph[spec.ref] = (owners | databases) & known
    return list(TopologicalSorter(graph).static_order())
