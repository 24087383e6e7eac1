"""The roles of a pipeline: a preview's reads no object, that of a look for drift what the program makes."""

import runpy

import pytest
import yaml

from components.program import pipeline_roles
from components.program.pipeline_roles import DRIFT, PREVIEW, drift_rules, manifests, preview_rules
from tests.support.monitor import record
from tests.support.stacks import ENVIRONMENTS, ROOT, pulumi_config, values

pytestmark = pytest.mark.unit

READ = {"get", "list", "watch"}
# To get one of these is to run a program, to speak as somebody else, or to read what a program says.
NEVER = [
    ("", "pods/exec"),
    ("", "pods/attach"),
    ("", "pods/portforward"),
    ("", "pods/proxy"),
    ("", "pods/log"),
    ("", "services/proxy"),
    ("", "nodes/proxy"),
    ("", "serviceaccounts/token"),
]


def granted(group: str, resource: str) -> bool:
    """Whether the role that looks for drift may read a resource."""
    return any(
        group in rule.get("apiGroups", ()) and {resource, "*"} & set(rule.get("resources", ()))
        for rule in drift_rules()
    )


def test_a_preview_reads_no_object_of_any_kind() -> None:
    assert all(set(rule) == {"nonResourceURLs", "verbs"} for rule in preview_rules())
    assert {verb for rule in preview_rules() for verb in rule["verbs"]} == {"get"}


def test_no_role_writes() -> None:
    for rule in (*preview_rules(), *drift_rules()):
        assert set(rule["verbs"]) <= READ


@pytest.mark.parametrize(("group", "resource"), NEVER)
def test_to_look_for_drift_runs_no_program_in_a_pod(group: str, resource: str) -> None:
    assert not granted(group, resource)
    assert not any("*" in rule.get("resources", ()) for rule in drift_rules() if "" in rule.get("apiGroups", ()))
    assert not any("*" in rule.get("apiGroups", ()) for rule in drift_rules())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_drift_is_found_in_every_kind_that_the_program_makes(environment: str) -> None:
    config = pulumi_config(values(environment))
    made = record(lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__") and None, environment, config)
    kinds = {
        (resource.inputs["apiVersion"], resource.inputs["kind"])
        for resource in made.resources
        if resource.type.startswith("kubernetes:") and "apiVersion" in resource.inputs
    }
    assert kinds
    for version, kind in kinds:
        group = version.rpartition("/")[0]
        plural = f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"
        assert granted(group, plural), (group, plural)


def test_each_role_is_bound_to_the_group_of_its_name() -> None:
    by_kind = {kind: [m for m in manifests() if m["kind"] == kind] for kind in ("ClusterRole", "ClusterRoleBinding")}
    assert [role["metadata"]["name"] for role in by_kind["ClusterRole"]] == [PREVIEW, DRIFT]
    for role, binding in zip(*by_kind.values(), strict=True):
        name = role["metadata"]["name"]
        assert (binding["metadata"]["name"], binding["roleRef"]["name"]) == (name, name)
        assert [(subject["kind"], subject["name"]) for subject in binding["subjects"]] == [("Group", name)]


def test_the_module_prints_what_it_makes(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(pipeline_roles.__file__, run_name="__main__")
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == manifests()
