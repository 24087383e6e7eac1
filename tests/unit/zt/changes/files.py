"""A small stack as files, changed key by key, and the side of a diff that it makes without a process."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import yaml

from components.kyverno.library import Library, load_library
from components.program.plan import plan
from components.program.stack import Stack
from components.service.file.directory import parse_service
from tests.support.stacks import settings
from zt.facts.model import Side
from zt.facts.read import facts_of

Keys = dict[str, Any]
GONE: Keys = {}

SERVICES: Mapping[str, Keys] = {
    "api": {
        "namespace": "shop",
        "team": "commerce",
        "image": "registry.example.org/shop/api:v1.2.3",
        "port": 8080,
        "host": "api.example.org",
        "calls": ["redis"],
        "secrets": {"smtp": {"generate": ["password"]}},
    },
    "redis": {
        "namespace": "shop",
        "team": "commerce",
        "image": "registry.example.org/shop/redis:8.2.1",
        "port": 6379,
        "protocol": "tcp",
    },
    "web": {
        "namespace": "shop",
        "team": "commerce",
        "image": "registry.example.org/shop/web:v1",
        "port": 9000,
    },
}


def same(library: Library) -> Library:
    return library


@dataclass(frozen=True)
class Files:
    """What differs from the small stack: keys of services (`GONE`: no such file), keys of the stack file, rules."""

    services: Mapping[str, Keys] = field(default_factory=dict)
    stack: Keys = field(default_factory=dict)
    rules: Callable[[Library], Library] = same
    environment: str = "production"

    def side(self) -> Side:
        return self._side

    @cached_property
    def _side(self) -> Side:
        names = [name for name in {**SERVICES, **self.services} if self.services.get(name) is not GONE]
        texts = {
            name: yaml.safe_dump({**SERVICES.get(name, {}), **self.services.get(name, {})}) for name in sorted(names)
        }
        specs = [parse_service(text, f"services/{name}.yaml").spec for name, text in texts.items()]
        specs.sort(key=lambda spec: (spec.namespace, spec.name))
        chosen = settings(self.environment, **self.stack)
        stack = Stack(f"Pulumi.{self.environment}.yaml", chosen, chosen.decisions(), tuple(specs))
        return Side(self.environment, frozenset(facts_of(stack, plan(stack), self.rules(load_library()))))


SMALL = Files()


@dataclass(frozen=True)
class Case:
    """One change: both states of the files, and each line as `class: sentence`."""

    name: str
    lines: list[str]
    after: Files
    before: Files = SMALL


def posture(**layers: object) -> Keys:
    return {"posture": {layer: {"value": value, "reason": "a case of a test"} for layer, value in layers.items()}}


def without(rule: str) -> Callable[[Library], Library]:
    return lambda library: Library({name: made for name, made in library.rules.items() if name != rule})


def in_tier(rule: str, tier: str) -> Callable[[Library], Library]:
    return lambda library: Library({**library.rules, rule: replace(library.rule(rule), tier=tier)})


def with_text(rule: str, message: str) -> Callable[[Library], Library]:
    def edited(library: Library) -> Library:
        document: Any = deepcopy(library.rule(rule).document)
        document["spec"]["validations"][0]["message"] = message
        return Library({**library.rules, rule: replace(library.rule(rule), document=document)})

    return edited
