"""The settings of a proxy that the rules refuse are those of which the rules' own patterns say so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.mesh.proxy_config import refused_settings
from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

RULE = yaml.safe_load(Path(ROOT / "policies/critical/disallow-proxy-user/policy.yaml").read_text())
[INJECTED] = [each["expression"] for each in RULE["spec"]["variables"] if each["name"] == "injected"]
PROXY, VALIDATION = (
    INJECTED[INJECTED.index(f"{{'name': '{name}', 'source': 'mesh'") :] for name in ("istio-proxy", "istio-validation")
)


def pattern(of: str, key: str) -> re.Pattern[str]:
    """A pattern of the rule, as CEL reads the text."""
    found = re.search(rf"'{key}': '([^']*)'", of)
    assert found
    text, flags = found[1].replace(r"\\\\", r"\\"), "(?is)"
    return re.compile(text.replace(flags, ""), re.IGNORECASE | re.DOTALL if flags in text else 0)


@pytest.mark.parametrize(
    "name",
    ["ISTIO_META_DNS_CAPTURE", "SECRET_TTL", "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "ISTIO_DUAL_STACK", "DISABLE_ENVOY"],
)
def test_a_variable_is_one_of_both_containers(name: str) -> None:
    known = all(pattern(of, "environment").search(name) for of in (PROXY, VALIDATION))
    assert [key for key, _ in refused_settings({"proxyMetadata": {name: "x"}})] == ([] if known else [name])


@pytest.mark.parametrize(
    "config",
    [
        {"concurrency": 2},
        {"proxyMetadata": {"ISTIO_META_A": "a b, c.d:1/2"}},
        {"proxyMetadata": {"ISTIO_META_A": "$(POD_NAME)"}},
        {"proxyMetadata": {"ISTIO_META_A": "$POD_NAME"}},
        {"caCertificatesPem": ["a\nb"]},
        {"extraStatTags": ['a"b']},
        {"extraStatTags": ["a\\b"]},
        {"extraStatTags": ["\u00e4"]},
        {"extraStatTags": ["a\tb", "c"]},
        {"binaryPath": "/own"},
        {"configPath": "/own"},
        {"customConfigFile": "/own"},
        {"proxyBootstrapTemplatePath": "/own"},
    ],
)
def test_what_a_configuration_says_is_what_the_rule_reads(config: dict[str, Any]) -> None:
    written = f"PROXY_CONFIG={json.dumps(config, ensure_ascii=False)}\n"
    assert bool(list(refused_settings(config))) is bool(pattern(PROXY, "otherwise").search(written))
