"""A list of a file has each entry once, unless the place of an entry has a meaning."""

import importlib
import pkgutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import trustme
import yaml
from pydantic import BaseModel

import components
from components.config.settings import Settings
from components.config.stack_file import decode_config, parse_settings
from components.package.file.directory import parse_package
from components.schema.problem import ConfigError
from components.schema.repeats import repeated
from components.schema.typed_file import TypedFile
from components.service.file.layers import Layers
from tests.support.packages import FILE
from tests.support.stack_values import KINDS, full
from tests.support.stacks import pulumi_config

pytestmark = pytest.mark.unit

IN_ORDER = {"args", "command", "directives"}
LISTS = (list, set, frozenset, Collection)


def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        if each.__module__.startswith("components."):
            yield each
            yield from below(each)


def models() -> list[type[BaseModel]]:
    for module in pkgutil.walk_packages(components.__path__, "components."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    return sorted(set(below(TypedFile)), key=lambda model: (model.__module__, model.__name__))


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in get_args(annotation):
        yield from parts(each)


def doubled(annotation: Any) -> Any:
    """A value of a type in which each list has an entry twice; `None` for a type without a list."""
    if get_origin(annotation) is tuple:
        return ("x", "y", "x")
    inner = next((made for each in get_args(annotation) if (made := doubled(each)) is not None), None)
    return {"name": inner} if get_origin(annotation) is dict and inner is not None else inner


PLACES = [
    (model, name, made)
    for model in models()
    for name, field in model.model_fields.items()
    if (made := doubled(field.annotation)) is not None
]


def test_every_list_of_the_files_is_found() -> None:
    found = {(model.__name__, name) for model, name, _ in PLACES}
    assert found >= {("Settings", "registries"), ("ServiceSpec", "writable"), ("PackageSpec", "kubernetes_api")}
    assert {name for _, name, _ in PLACES} >= IN_ORDER
    other = [
        (model, name)
        for model in models()
        for name, field in model.model_fields.items()
        for part in parts(field.annotation)
        if get_origin(part) in LISTS
    ]
    assert other == []


@pytest.mark.parametrize(("model", "name", "made"), PLACES, ids=lambda each: getattr(each, "__name__", None))
def test_an_entry_stands_there_once(model: type[BaseModel], name: str, made: Any) -> None:
    there = model.model_construct(**{**dict.fromkeys(model.model_fields), name: made})
    found = repeated(there)
    if name in IN_ORDER:
        assert found is None
    else:
        assert found is not None
        assert (found[0][0], found[0][-1], found[1]) == (model.model_fields[name].alias or name, 2, "x")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    return file


def lists(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    if isinstance(value, list):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from lists(inner, (*path, key))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_file_says_where(kind: str, authority: Path) -> None:
    stack = full("production", kind, authority)
    tried = 0
    for path, value in lists(stack):
        if path[-1] in IN_ORDER or path[:2] == ("kyverno", "parameters"):
            continue
        value.append(value[0])
        with pytest.raises(ConfigError) as refused:
            parse_settings(decode_config(pulumi_config(stack), frozenset(), "f"), "f")
        value.pop()
        key = ".".join(str(part) for part in path).replace(".0", "[0]")
        assert f"f: zero-trust:{key}[{len(value)}]: it stands there twice: keep one" in str(refused.value)
        tried += 1
    assert tried > 5


def test_a_package_file_says_where() -> None:
    text = yaml.safe_dump({**FILE, "kubernetesApi": ["web", "web"]})
    said = r"\.yaml:\d+: kubernetesApi\[1\]: it stands there twice: keep one, found 'web'"
    with pytest.raises(ConfigError, match=said):
        parse_package(Layers("packages/guestbook.yaml", text))


def test_the_schema_says_so() -> None:
    schema = Settings.model_json_schema()
    every = {
        name: each
        for part in (schema, *schema["$defs"].values())
        for name, each in part.get("properties", {}).items()
        if each.get("type") == "array"
    }
    assert {name for name, each in every.items() if "uniqueItems" not in each} == {"directives"}
    assert len(every) > 20
