"""The real Kyverno CLI: which rules refuse which objects, and what a rule generates."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from embedded.toolchain import ensure

Manifest = dict[str, Any]
_PARALLEL = min(os.cpu_count() or 1, 4)
# A list of what the CLI was given none of is an error, where a cluster's is empty.
_ELSEWHERE: list[Manifest] = [
    {"apiVersion": version, "kind": kind, "metadata": {"name": "elsewhere", "namespace": "elsewhere"}, "spec": {}}
    for version, kind in (("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler"))
]
# The CLI guesses the resource of a kind it does not know, here "gatewaies".
_GATEWAYS: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gateways.gateway.networking.k8s.io"},
    "spec": {
        "group": "gateway.networking.k8s.io",
        "names": {"kind": "Gateway", "plural": "gateways", "singular": "gateway"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}

Verdicts = dict[tuple[str, str], dict[str, str]]


def verdicts(
    folder: Path, policies: Iterable[Manifest], objects: Iterable[Manifest], beside: Sequence[Sequence[Manifest]] = ()
) -> Verdicts:
    """By kind and name of each object: the result of each rule that looked at it, `pass`, `fail`, `skip` or `error`.

    `beside` holds what is in the cluster with each object, in their order; without it the cluster is empty.
    """
    rules, every = list(policies), list(objects)
    alike: dict[str, list[Manifest]] = defaultdict(list)
    for made, neighbours in zip(every, beside or [()] * len(every), strict=True):
        alike[json.dumps([made["apiVersion"], made["kind"], neighbours])].append(made)
    runs = [
        ([rule for rule in rules if matches(rule, members[0])], members[part::_PARALLEL], json.loads(key)[-1])
        for key, members in alike.items()
        for part in range(min(_PARALLEL, len(members)))
    ]
    folders = [folder / str(number) for number in range(len(runs))]
    found: Verdicts = defaultdict(dict)
    # The CLI compiles every rule again for each object, on one core, whether the rule looks at it or not.
    with ThreadPoolExecutor(_PARALLEL) as pool:
        outputs = pool.map(lambda own, run: _judge(own, *run), folders, runs)
        results = [result for output in outputs for report in _documents(output) for result in report["results"]]
    for result in results:
        for resource in result["resources"]:
            found[resource["kind"], resource["name"]][result["policy"]] = result["result"]
    return found


def matches(policy: Manifest, made: Manifest) -> bool:
    """Whether the rule's `matchConstraints` name the resource of the object."""
    group, kind = made["apiVersion"].rpartition("/")[0], made["kind"].lower()
    return any(
        group in matching["apiGroups"] and {f"{kind}s", f"{kind}es"} & set(matching["resources"])
        for matching in policy["spec"]["matchConstraints"]["resourceRules"]
    )


def _judge(folder: Path, policies: list[Manifest], objects: list[Manifest], beside: list[Manifest]) -> str:
    folder.mkdir()
    context, crds = folder / "context.yaml", folder / "crds.yaml"
    spec = {"resources": [*beside, *_ELSEWHERE]}
    context.write_text(
        yaml.safe_dump(
            {"apiVersion": "cli.kyverno.io/v1alpha1", "kind": "Context", "metadata": {"name": "beside"}, "spec": spec}
        )
    )
    crds.write_text(yaml.safe_dump(_GATEWAYS))
    options = ("--policy-report", "--output-format", "json", "--context-file", str(context), "--crd-paths", str(crds))
    # The CLI answers 1 for a refusal as for a failure of its own, which alone it writes to stderr.
    return apply(folder, policies, objects, *options, exit_codes=(0, 1))


def generated(folder: Path, policies: Iterable[Manifest], triggers: Iterable[Manifest]) -> list[Manifest]:
    """Every object that generating rules make for these triggers."""
    made = folder / "made"
    made.mkdir()
    apply(folder, policies, triggers, "--output", str(made), exit_codes=(0,))
    return [document for path in made.iterdir() for document in yaml.safe_load_all(path.read_text()) if document]


def apply(
    folder: Path, policies: Iterable[Manifest], objects: Iterable[Manifest], *options: str, exit_codes: tuple[int, ...]
) -> str:
    rules, resources = folder / "rules.yaml", folder / "resources.yaml"
    rules.write_text(yaml.safe_dump_all(policies))
    resources.write_text(yaml.safe_dump_all(objects))
    cli = ensure(["kubectl-kyverno"]) / "kubectl-kyverno"
    ran = subprocess.run(
        [str(cli), "apply", str(rules), "--resource", str(resources), *options],
        capture_output=True,
        text=True,
        # Its garbage is most of its work, and it lives for seconds: collect less often.
        env={**os.environ, "GOGC": "400"},
        timeout=120,
        check=False,
    )
    failed = ran.returncode not in exit_codes or ran.stderr.startswith("Error:")
    assert not failed, f"exit {ran.returncode}\n{ran.stderr}\n{ran.stdout[-2000:]}"
    return ran.stdout


def _documents(output: str) -> Iterator[Manifest]:
    """The JSON reports in the output, which holds other lines and YAML separators too."""
    decoder = json.JSONDecoder()
    position = output.find('{"kind"')
    assert position >= 0, f"no report from the CLI:\n{output[-2000:]}"
    while position >= 0:
        document, end = decoder.raw_decode(output, position)
        yield document
        position = output.find('{"kind"', end)
