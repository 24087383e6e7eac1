"""The JSON Schema against the loader: an editor marks what is refused for its own sake, and nothing that is taken."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from components.service.file.service import ServiceSpec
from tests.support.service_files import File, service_files
from tests.support.stacks import ROOT
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_fields import WRONG
from tests.unit.service.test_legal_values import REFUSED

pytestmark = pytest.mark.unit

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/reference/service.schema.json").read_text()))
SMALLEST: File = {**yaml.safe_load(SMALL), "name": "x"}


def marked(file: File) -> bool:
    # A schema is for JSON, in which a day is a text.
    return not SCHEMA.is_valid(json.loads(json.dumps(file, default=str)))


def taken(file: File) -> bool:
    try:
        ServiceSpec.model_validate(file)
    except ValidationError:
        return False
    return True


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(service_files())
def test_nothing_that_the_loader_takes_is_marked(made: tuple[str, File]) -> None:
    name, file = made
    whole = {**file, "name": name}
    if taken(whole):
        assert not marked(whole)


ALONE: list[dict[str, Any]] = [
    *({"namespace": text} for text in ("Shop", "a.b", "kube-flannel", "vault", "default", "-a", "a" * 64)),
    *(
        {"image": text}
        for text in ("nginx", "nginx:1", "r.example.org/x", "r.example.org/x:latest", "r.example.org/X:1")
    ),
    *({"image": text} for text in ("r.example.org:5000/x", "r.example.org/x@sha256:ab", "r.example.org/x:-v1")),
    *({"host": text} for text in ("*.example.org", "example", "Example.org", "1.2.3.4", "a.svc", f"a.{'b' * 64}")),
    *({"port": number} for number in (0, 65536, 15001, "8080")),
    *({"replicas": number} for number in (0, 101)),
    *({"calls": [text]} for text in ("*", "a/b/c", "a:b:c", "A")),
    *({"resources": {"limits": {key: text}}} for key, text in (("cpu", "1Gi"), ("memory", "1ki"), ("memory", "-1"))),
    *({"jobs": {"a": {"schedule": text}}} for text in ("daily", "* * * *", "@never", "@every 1h", "0 3 * * 1#2")),
    *({"jobs": {"a": {"timeout": text}}} for text in ("1d", "0s", "1h30m")),
    {"jobs": {"A": {}}},
    *({"env": {text: "x"}} for text in ("1A", "A B", "A/B", "..a", "")),
    *({"config": {"files": {text: "x"}}} for text in ("..a", ".", "a/b")),
    *({"secrets": {text: {"generate": ["x"]}}} for text in ("A", "file-x", "a.b")),
    {"secrets": {"a": {"generate": ["X"]}}},
    *({"volumes": {"a": {"path": text, "size": "1Gi"}}} for text in ("data", "/data/", "/proc", "//x", "/a:b")),
    *({"writable": [text]} for text in ("/", "/vault/secrets", "x")),
    *({"ports": {text: 9000}} for text in ("A", "8080", "http-metrics", "a--b")),
    *({"sidecars": {text: {"port": 9000}}} for text in ("istio-proxy", "A")),
    *({"host": "a.example.org", "paths": [text]} for text in ("a", "/a//b", "/%41", "/ä")),
    {"runAsUser": 1337},
    {"runAsUser": 0},
    {"health": "healthz"},
    {"egress": [{"host": "a_b", "port": 443}]},
]


@pytest.mark.parametrize("keys", ALONE, ids=ascii)
def test_what_is_refused_for_its_own_sake_is_marked(keys: dict[str, Any]) -> None:
    assert not taken({**SMALLEST, **keys})
    assert marked({**SMALLEST, **keys})


def test_a_good_part_of_what_is_refused_is_marked() -> None:
    """The rest compares keys with each other, or says what no pattern can."""
    files = [yaml.safe_load(SMALL + tail) for tail, _ in (*WRONG, *REFUSED)]
    assert sum(marked(file) for file in files) > len(files) // 3
