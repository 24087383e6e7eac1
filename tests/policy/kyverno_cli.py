"""The real Kyverno CLI: which rules refuse which objects, and what a rule generates."""

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from embedded.toolchain import ensure
from tests.policy.answers import Answer, answer

Manifest = dict[str, Any]
# The folder that the CLI writes into.
_MADE = "made"
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
    folder: Path,
    policies: Iterable[Manifest],
    objects: Iterable[Manifest],
    beside: Sequence[Sequence[Manifest]] = (),
    exceptions: Sequence[Manifest] = (),
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
        outputs = [pool.submit(_judge, own, *run, exceptions) for own, run in zip(folders, runs, strict=True)]
        results = [
            result for output in outputs for report in _documents(output.result()) for result in report["results"]
        ]
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


def _judge(
    folder: Path,
    policies: list[Manifest],
    objects: list[Manifest],
    beside: list[Manifest],
    exceptions: Sequence[Manifest],
) -> str:
    folder.mkdir()
    spec = {"resources": [*beside, *_ELSEWHERE]}
    context = {"apiVersion": "cli.kyverno.io/v1alpha1", "kind": "Context", "metadata": {"name": "beside"}, "spec": spec}
    files = {"context.yaml": yaml.safe_dump(context), "crds.yaml": yaml.safe_dump(_GATEWAYS)}
    options = [
        "--policy-report",
        "--output-format",
        "json",
        "--context-file",
        "context.yaml",
        "--crd-paths",
        "crds.yaml",
    ]
    if exceptions:
        files["exceptions.yaml"] = yaml.safe_dump_all(exceptions)
        options += ["--exceptions", "exceptions.yaml"]
    # The CLI answers 1 for a refusal as for a failure of its own, which alone it writes to stderr.
    return apply(folder, policies, objects, *options, files=files, exit_codes=(0, 1)).stdout


def generated(folder: Path, policies: Iterable[Manifest], triggers: Iterable[Manifest]) -> list[Manifest]:
    """Every object that generating rules make for these triggers."""
    return documents_of(apply(folder, policies, triggers, "--output", _MADE, exit_codes=(0,)))


def mutated(
    folder: Path, rules: Iterable[Manifest], objects: Iterable[Manifest], values: Manifest | None = None
) -> list[Manifest]:
    """Each object after all of these rules; `values` are those of the CLI."""
    files = {"values.yaml": yaml.safe_dump(values)} if values else {}
    options = ("--values-file", "values.yaml") if values else ()
    return documents_of(apply(folder, rules, objects, "--output", _MADE, *options, files=files, exit_codes=(0,)))


def documents_of(found: Answer) -> list[Manifest]:
    return [document for text in found.made.values() for document in yaml.safe_load_all(text) if document]


def apply(
    folder: Path,
    policies: Iterable[Manifest],
    objects: Iterable[Manifest],
    *options: str,
    exit_codes: tuple[int, ...],
    files: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """What the CLI says in this folder, where it finds the files and makes others."""
    rules = list(policies)
    given = {"rules.yaml": yaml.safe_dump_all(rules), "resources.yaml": yaml.safe_dump_all(objects), **files}
    cli = ensure(["kubectl-kyverno"]) / "kubectl-kyverno"
    arguments = ("apply", "rules.yaml", "--resource", "resources.yaml", *options)
    ask = partial(_ask, folder, cli, arguments, given, exit_codes)
    # What a registry holds is in no file.
    asks_a_registry = any(rule["kind"] == "ImageValidatingPolicy" for rule in rules)
    return ask() if asks_a_registry else answer(cli, (*arguments, str(exit_codes)), given, ask)


def _ask(
    folder: Path, cli: Path, arguments: Sequence[str], given: Mapping[str, str], exit_codes: tuple[int, ...]
) -> Answer:
    own = Path(tempfile.mkdtemp(dir=folder))
    for name, content in given.items():
        (own / name).write_text(content)
    made = own / _MADE
    made.mkdir()
    ran = subprocess.run(
        [str(cli), *arguments],
        cwd=own,
        capture_output=True,
        text=True,
        # Its garbage is most of its work, and it lives for seconds: collect less often.
        env={**os.environ, "GOGC": "400"},
        timeout=600,
        check=False,
    )
    failed = ran.returncode not in exit_codes or ran.stderr.startswith("Error:")
    assert not failed, f"exit {ran.returncode}\n{ran.stderr}\n{ran.stdout[-2000:]}"
    return Answer(ran.stdout, {path.name: path.read_text() for path in sorted(made.iterdir())})


def _documents(output: str) -> Iterator[Manifest]:
    """The JSON reports in the output, which holds other lines and YAML separators too."""
    decoder = json.JSONDecoder()
    position = output.find('{"kind"')
    assert position >= 0, f"no report from the CLI:\n{output[-2000:]}"
    while position >= 0:
        document, end = decoder.raw_decode(output, position)
        yield document
        position = output.find('{"kind"', end)
