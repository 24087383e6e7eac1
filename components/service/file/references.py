"""Variables that stand in another value as `$(NAME)`: what Kubernetes knows of them when a container starts.

It puts in the variables of the container's own list that come before, leaves every other name as it is, and takes `$$`
for a dollar: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

import re
from collections.abc import Collection, Iterator, Mapping

from components.schema.problem import Key
from components.schema.typed_file import misplaced
from components.service.file.containers import ContainerSpec
from components.service.file.jobs import JobSpec
from components.service.file.keys import ServiceKeys
from components.service.file.texts import words

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
# What is written so in a value is a variable; `$(date +%u)` and `$(hostname)` are a shell's own.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# The variables of the API server's Service are in every container.
_API_SERVER = "KUBERNETES_"


def _named(text: str) -> Iterator[str]:
    """The names behind `$(` in a text."""
    yield from (found[1] for found in _REFERENCE.finditer(text) if found[1])


def in_order(values: Mapping[str, str]) -> list[str]:
    """The names of variables, by the alphabet, but each behind those that are part of its value."""
    ordered: dict[str, None] = {}

    def put(name: str, within: tuple[str, ...]) -> None:
        if name in ordered:
            return
        for part in sorted({*_named(values[name])} & values.keys() - {*within, name}):
            put(part, (*within, name))
        ordered[name] = None

    for name in sorted(values):
        put(name, ())
    return list(ordered)


def check_references(keys: ServiceKeys) -> None:
    """Raise `PydanticCustomError`, with the key, for a name that would be in a container as it is written."""
    late = frozenset(keys.secret_env.variables) if keys.secret_env else frozenset[str]()
    _check_program((), keys, keys, late)
    for place, each in keys.containers:
        _check_program(place, each, each, frozenset())
    for name, job in keys.jobs.items():
        _check_program(("jobs", name), keys, job, late)


def _check_program(
    place: Key,
    variables: ServiceKeys | ContainerSpec,
    program: ServiceKeys | ContainerSpec | JobSpec,
    late: Collection[str],
) -> None:
    if variables is program:
        order = in_order(variables.env)
        for number, name in enumerate(order):
            missing = frozenset(order[number:])
            _check((*place, "env", name), variables.env[name], {*variables.pod_env, *order[:number]}, late, missing)
    known = {*variables.env, *variables.pod_env}
    for key, word in words(place, program.command, program.args):
        _check(key, word, known, late, frozenset())


def _check(key: Key, text: str, known: Collection[str], late: Collection[str], behind: Collection[str]) -> None:
    for name in _named(text):
        if name in known or name.startswith(_API_SERVER):
            continue
        if name in behind:
            raise misplaced(key, "it is part of its own value: the image's variables are not known there", f"$({name})")
        if name in late:
            message = "a variable of secretEnv is known to the program alone, which has to read it itself"
            raise misplaced(key, message, f"$({name})")
        if _VARIABLE.fullmatch(name):
            message = f"no variable under env or podEnv, so it would stay there as it is: add it, or write $$({name})"
            raise misplaced(key, message, f"$({name})")
