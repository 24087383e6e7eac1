"""`zt show`: reads a service or a package as a stack has it, prints it and returns the exit code."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from components.package.file.directory import PackageFile, placed_hosts
from components.schema.yaml_text import read_text
from components.service.file.layers import Layers, with_domain
from zt.facts.read import stack_of
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import declared_file
from zt.project.streams import say

JSON_VERSION = 1
_LINE_WIDTH = 120


@dataclass(frozen=True)
class Shown:
    """A service or a package on a stack: its keys, and for each key the file and line that its value comes from."""

    service: str
    stack: str
    values: Mapping[str, object]
    places: Mapping[str, str]


@tells_errors
def run(service: str, stack: str, project: Path, output_format: str) -> int:
    """Print it and return the exit code: 0 done, 2 a wrong argument or file."""
    shown = read(service, stack, project)
    if output_format == "json":
        say(json.dumps(as_json(shown), indent=2, default=str))
    else:
        say("\n".join(_text(shown)))
    return ExitCode.DONE


def read(service: str, stack: str, project: Path) -> Shown:
    """A service or a package as a stack has it. Raises `ConfigError` for what the program would refuse."""
    domain = stack_of(project, stack).settings.ingress.domain or ""
    found = declared_file(project, service)
    file = found.file
    above = file.removesuffix(".yaml") + f".{stack}.yaml"
    over = (above, read_text(project / above, above)) if (project / above).exists() else ()
    layers = Layers(file, read_text(project / file, file), *over)
    packaged = isinstance(found, PackageFile)
    values = placed_hosts(layers, domain) if packaged else with_domain(layers.values, domain)
    return Shown(str(found.spec.ref), stack, values, dict(_places(layers, values)))


def as_json(shown: Shown) -> dict[str, object]:
    """It as data; days are ISO dates.

    {"version": 1, "service": "namespace/name", "stack", "values": {key: value}, "places": {"key.key": "file:line"}}

    `places` has every key that is written, those of mappings with a dot between them.
    """
    return {
        "version": JSON_VERSION,
        "service": shown.service,
        "stack": shown.stack,
        "values": shown.values,
        "places": shown.places,
    }


def _places(layers: Layers, values: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        key = (*above, name)
        if key == ("name",) and not layers.named:
            continue
        file, line = layers.place_of(key)
        yield ".".join(key), f"{file}:{line}"
        if isinstance(value, Mapping):
            yield from _places(layers, cast("Mapping[str, object]", value), key)


def _text(shown: Shown) -> Iterator[str]:
    """YAML, with the place of each top-level key behind a `#`, and of keys below it that another file has."""
    for name, value in shown.values.items():
        place = shown.places.get(name, "the name of the file")
        below = (found for key, found in shown.places.items() if key.startswith(f"{name}."))
        others = [found for found in below if found.partition(":")[0] != place.partition(":")[0]]
        # The stubs of yaml do not type the stream, and so not the result.
        dumped: str = yaml.safe_dump(  # pyright: ignore[reportUnknownMemberType]
            {name: value}, sort_keys=False, default_flow_style=False, allow_unicode=True, width=_LINE_WIDTH
        )
        yield f"# {', '.join([place, *others])}"
        yield dumped.rstrip("\n")
