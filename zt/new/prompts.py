"""The questions of `zt new service` at a terminal, with suggestions from the other service files."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import typer

from components.schema.problem import ConfigError
from components.service.file.directory import ServiceFile
from components.service.file.service import ServiceSpec
from zt.new.file import Request, Values, free_path, missing, problem_with, required, secrets_of, split
from zt.project.stack_file import StackFile

_PORT = "8080"
_TAG = "v0.1.0"
_QUESTIONS = MappingProxyType(
    {
        "name": "Name of the service",
        "namespace": "Namespace",
        "team": "Team that answers for it",
        "image": "Image, with a tag",
        "port": "Port it listens on",
        "host": "Public host name, or nothing to keep it inside",
        "health": "Path that answers a probe, or nothing to try the port",
        "calls": "Services it calls, with commas, or nothing",
        "secrets": "Generated secrets as name:field, with spaces, or nothing",
        "costCenter": "Cost center, or nothing",
    }
)


def ask(request: Request, others: Sequence[ServiceFile]) -> tuple[str, Values]:
    """The name and the values of a new file: those of the request, and answers for the rest."""
    specs = [file.spec for file in others]
    name = request.name or str(_prompt("name", "", lambda text: _free_name(request.project, text)))
    values = dict(request.values)
    for key in (*missing(values), *_optional(values)):
        if key in values:
            continue
        suggested = _suggested(key, name, values, specs, request)
        if answer := _prompt(key, suggested, _reader(key, values, specs)):
            values[key] = answer
    return name, values


def confirm(path: Path) -> bool:
    """Ask whether to write the file."""
    return typer.confirm(f"Write services/{path.name}?", default=True, err=True)


def _optional(values: Values) -> tuple[str, ...]:
    protocol = values.get("protocol", "" if values.keys() & {"run", "probes"} else "http")
    public = ["host"] if protocol not in ("tcp", "") else []
    probed = ["health"] if protocol in ("http", "http2") else []
    return (*public, *probed, "calls", "secrets", "costCenter")


def _prompt(key: str, suggested: str, read: Callable[[str], object]) -> object:
    # On the standard error, because programs read the standard output.
    question = _QUESTIONS.get(key, key)
    return typer.prompt(question, default=suggested, value_proc=read, err=True, show_default=bool(suggested))


def _free_name(project: Path, text: str) -> str:
    try:
        free_path(project, text.strip())
    except ConfigError as error:
        raise typer.BadParameter(error.problems[0].message) from error
    return text.strip()


def _reader(key: str, values: Values, specs: Sequence[ServiceSpec]) -> Callable[[str], object]:
    """A function that turns an answer into the value of a key. A wrong answer is asked for again."""

    def read(text: str) -> object:
        try:
            value = _value(key, text.strip())
        except ConfigError as error:
            raise typer.BadParameter(error.problems[0].message) from error
        # An optional key may be left empty.
        if (value or key in required()) and (problem := problem_with(key, value)):
            raise typer.BadParameter(problem.message)
        if key == "calls" and (unknown := _unknown(split([text]), values, specs)):
            raise typer.BadParameter(f"no such service: {', '.join(unknown)}")
        return value

    return read


def _unknown(calls: Sequence[str], values: Values, specs: Sequence[ServiceSpec]) -> list[str]:
    known = {f"{spec.namespace}/{spec.name}" for spec in specs}
    return [call for call in calls if (call if "/" in call else f"{values.get('namespace')}/{call}") not in known]


def _value(key: str, answer: str) -> object:
    match key:
        case "port":
            return int(answer) if answer.isascii() and answer.isdigit() else answer
        case "calls":
            return split([answer])
        case "secrets":
            return secrets_of(answer.split())
        case _:
            return answer


def _suggested(key: str, name: str, values: Values, specs: Sequence[ServiceSpec], request: Request) -> str:
    """The most common value in the same namespace, or else in all; empty without a suggestion."""
    namespace = values.get("namespace")
    near = [spec for spec in specs if spec.namespace == namespace] or list(specs)
    match key:
        case "namespace":
            return _usual(spec.namespace for spec in specs)
        case "team":
            return _usual(spec.team for spec in near)
        case "costCenter":
            return _usual(spec.cost_center for spec in near if spec.cost_center)
        case "port":
            return _PORT
        case "image":
            registry = StackFile.read(request.project, request.stack).settings.registries[0]
            same = [spec.image.rpartition("/")[0] for spec in specs if spec.namespace == namespace]
            return f"{_usual(same) or f'{registry}/{namespace}'}/{name}:{_TAG}"
        case _:
            return ""


def _usual(values: Iterable[str]) -> str:
    return next((word for word, _ in Counter(values).most_common(1)), "")
