"""Turns the flags of `zt new service` into the keys of a service file."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import cast

from components.schema.problem import ConfigError, Problem
from zt.new.file import COMMAND, Values, secrets_of, split

Section = dict[str, object]


def values_of(flags: Mapping[str, object]) -> Values:
    """The keys of a file, from the flags that have a value. Raises `ConfigError`."""
    values = {key: _READERS[key](_texts(value)) if key in _READERS else value for key, value in flags.items()}
    # Two flags make one key. Each part is useless alone, or has a default.
    grants = cast("list[Section]", values.pop("grants", []))
    if "database" in values or grants:
        values["database"] = _database(values.get("database"), grants)
    amounts = {key: values.pop(key) for key in ("requests", "limits") if key in values}
    if amounts:
        values["resources"] = amounts
    return values


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else cast("list[str]", value)


def _database(connection: object, grants: list[Section]) -> Section:
    if connection is None:
        raise ConfigError([Problem(COMMAND, "--grant", "of no database: name one with --database")])
    if not grants:
        message = "says nothing of what its users may do: add --grant"
        raise ConfigError([Problem(COMMAND, "--database", message, repr(connection))])
    return {"connection": connection, "grants": grants}


def _parts(flag: str, shape: str, text: str, counts: Sequence[int], colon: str = ":") -> list[str]:
    """The parts of a text; the last one may contain colons. Raises `ConfigError`."""
    parts = [part.strip() for part in text.split(colon, max(counts) - 1)]
    if len(parts) not in counts or not all(parts):
        raise ConfigError([Problem(COMMAND, flag, f"write {shape}", repr(text))])
    return parts


def _once(section: Section, name: str, flag: str) -> None:
    """Raise `ConfigError` for a name that a flag has given already: the last one alone would be written."""
    if name in section:
        raise ConfigError([Problem(COMMAND, flag, "named twice: keep one", repr(name))])


def _number(text: str) -> object:
    return int(text) if text.isascii() and text.isdigit() else text


def _autoscaling(texts: Sequence[str]) -> Section:
    parts = _parts("--autoscaling", "MIN:MAX or MIN:MAX:CPU, as 2:6:80", texts[0], (2, 3))
    return dict(zip(("min", "max", "cpu"), map(_number, parts), strict=False))


def _amounts(flag: str) -> Callable[[Sequence[str]], Section]:
    def read(texts: Sequence[str]) -> Section:
        cpu, memory = _parts(flag, "CPU,MEMORY, as 250m,256Mi", texts[0], (2,), ",")
        return {"cpu": cpu, "memory": memory}

    return read


def _env(texts: Sequence[str]) -> Section:
    variables: Section = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            # The value is not repeated: it may be a secret that was put in the wrong place.
            raise ConfigError([Problem(COMMAND, "--env", "write NAME=VALUE, as LOG_LEVEL=info")])
        _once(variables, name, "--env")
        variables[name] = value
    return variables


def _schedule(texts: Sequence[str]) -> Section:
    return {"schedule": texts[0]}


def _probes(texts: Sequence[str]) -> Section:
    try:
        command = shlex.split(texts[0])
    except ValueError as error:
        raise ConfigError([Problem(COMMAND, "--probe", f"as a shell reads it: {error}", repr(texts[0]))]) from error
    # Two lists, since one would be written once and then as an alias.
    return {"readiness": {"command": command}, "liveness": {"command": list(command)}}


def _ports(texts: Sequence[str]) -> Section:
    ports: Section = {}
    for text in texts:
        name, port, *protocol = _parts("--extra-port", "NAME:PORT or NAME:PORT:PROTOCOL, as admin:9001", text, (2, 3))
        _once(ports, name, "--extra-port")
        ports[name] = {"port": _number(port), "protocol": protocol[0]} if protocol else _number(port)
    return ports


def _volumes(texts: Sequence[str]) -> Section:
    volumes: Section = {}
    for text in texts:
        shape = "NAME:PATH:SIZE or NAME:PATH:SIZE:CLASS, as data:/data:10Gi"
        name, *rest = _parts("--volume", shape, text, (3, 4))
        _once(volumes, name, "--volume")
        volumes[name] = dict(zip(("path", "size", "storageClass"), rest, strict=False))
    return volumes


def _grants(texts: Sequence[str]) -> list[Section]:
    grants: list[Section] = []
    for text in texts:
        shape = "SCHEMA:RIGHT,RIGHT or SCHEMA:RIGHT:TABLE,TABLE, as public:SELECT,INSERT:orders"
        schema, rights, *tables = _parts("--grant", shape, text, (2, 3))
        grants.append({"schema": schema, "privileges": split([rights]), "tables": split(tables) or "all"})
    return grants


def _api(texts: Sequence[str]) -> list[Section]:
    rights: list[Section] = []
    for text in texts:
        shape = (
            "VERB,VERB:RESOURCE or VERB:RESOURCE.GROUP, as get,list:deployments.apps; a right that may lead to more is "
            "VERB:RESOURCE.GROUP:DAY:OWNER:REASON"
        )
        verbs, target, *exception = _parts("--kubernetes-api", shape, text, (2, 5))
        resource, _, group = target.partition(".")
        right: Section = {"apiGroups": [group]} if group else {}
        timed = _timed("--kubernetes-api", *exception) if exception else {}
        rights.append({**right, "resources": [resource], "verbs": split([verbs]), **timed})
    return rights


def _timed(flag: str, day: str, owner: str, reason: str) -> Section:
    """The keys of what is granted today and ends on a day."""
    try:
        expires = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise ConfigError([Problem(COMMAND, flag, "not a day such as 2030-01-31", repr(day))]) from error
    return {"reason": reason, "owner": owner, "granted": datetime.now(UTC).date(), "expires": expires}


def _exceptions(texts: Sequence[str]) -> list[Section]:
    exceptions: list[Section] = []
    for text in texts:
        shape = "RULE:DAY:OWNER:REASON, as 'require-probes:2030-01-31:ann:what the reviewer has to know'"
        rule, day, owner, reason = _parts("--exception", shape, text, (4,))
        exceptions.append({"rule": rule, **_timed("--exception", day, owner, reason)})
    return exceptions


_READERS: Mapping[str, Callable[[Sequence[str]], object]] = MappingProxyType(
    {
        "calls": split,
        "callers": split,
        "secrets": secrets_of,
        "autoscaling": _autoscaling,
        "requests": _amounts("--requests"),
        "limits": _amounts("--limits"),
        "env": _env,
        "volumes": _volumes,
        "run": _schedule,
        "probes": _probes,
        "ports": _ports,
        "grants": _grants,
        "kubernetesApi": _api,
        "exceptions": _exceptions,
    }
)
