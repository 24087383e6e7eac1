"""The critical tier refuses whatever the Kubernetes restricted Pod Security Standard refuses, case for case.

The cases are the standard's own: https://github.com/kubernetes/pod-security-admission/tree/master/test/testdata
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from components.kyverno.library import load_library
from embedded.toolchain import module_dir
from tests.policy.cases import merge
from tests.policy.kyverno_cli import Verdicts, verdicts

pytestmark = pytest.mark.policy

CRITICAL = {rule.name: rule for rule in load_library().tier("critical")}
# The rules that take the place of each of the standard's checks; a fixture is refused by one of them.
RULES_OF_CHECK = {
    "allowprivilegeescalation": {"disallow-privilege-escalation"},
    "apparmorprofile": {"restrict-apparmor-profiles"},
    "capabilities_baseline": {"drop-all-capabilities"},
    "capabilities_restricted": {"drop-all-capabilities"},
    "hostnamespaces": {"disallow-host-namespaces"},
    "hostpathvolumes": {"disallow-host-path"},
    "hostports": {"disallow-host-ports"},
    "hostprobesandhostlifecycle": {"disallow-probe-hosts"},
    "privileged": {"disallow-privileged"},
    "procmount": {"disallow-proc-mount"},
    "restrictedvolumes": {"restrict-volume-types", "disallow-host-path"},
    "runasnonroot": {"require-run-as-non-root"},
    "runasuser": {"require-run-as-non-root"},
    "seccompprofile_baseline": {"require-seccomp-profile"},
    "seccompprofile_restricted": {"require-seccomp-profile"},
    "selinuxoptions": {"restrict-selinux-options"},
    "sysctls": {"restrict-sysctls"},
    "windowshostprocess": {"disallow-host-process"},
}
LEVELS = ("baseline", "restricted")


@dataclass(frozen=True)
class Fixture:
    """A pod that the standard refuses at its level, for one reason."""

    id: str
    check: str
    pod: dict[str, Any]


def fixtures() -> Iterator[Fixture]:
    """The failing pods of both levels, in the newest version of the standard that the pinned module knows."""
    testdata = module_dir("k8s.io/pod-security-admission") / "test" / "testdata"
    for level in LEVELS:
        newest = max((testdata / level).iterdir(), key=lambda path: [int(part) for part in path.name[1:].split(".")])
        for path in sorted((newest / "fail").glob("*.yaml")):
            name = f"{level}.{path.stem}"
            pod = merge(yaml.safe_load(path.read_text()), {"metadata": {"name": name}})
            yield Fixture(name, re.sub(r"\d+$", "", path.stem), pod)


FIXTURES = list(fixtures())


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What the rules say of every fixture. The rest of the tier stays out: it would refuse every one of them anyway."""
    rules = [CRITICAL[name].document for name in sorted(set().union(*RULES_OF_CHECK.values()))]
    return verdicts(tmp_path_factory.mktemp("standard"), rules, [fixture.pod for fixture in FIXTURES])


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.id)
def test_what_the_standard_refuses_the_critical_tier_refuses_for_the_same_reason(
    judged: Verdicts, fixture: Fixture
) -> None:
    results = judged["Pod", fixture.id]
    assert set(results.values()) <= {"pass", "fail"}, "a rule failed to evaluate"
    assert {rule for rule, result in results.items() if result == "fail"} & RULES_OF_CHECK[fixture.check]


def test_every_check_of_both_levels_is_among_the_fixtures() -> None:
    assert len(FIXTURES) > 100
    assert {fixture.id.partition(".")[0] for fixture in FIXTURES} == set(LEVELS)
    assert {fixture.check for fixture in FIXTURES} == set(RULES_OF_CHECK)
