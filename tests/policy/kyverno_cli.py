"""The real Kyverno CLI: which rules refuse which objects, and what a rule generates."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from embedded.toolchain import ensure

Manifest = dict[str, Any]
_PARALLEL = min(os.cpu_count() or 1, 4)

Verdicts = dict[tuple[str, str], dict[str, str]]


def verdicts(folder: Path, policies: Iterable[Manifest], objects: Iterable[Manifest]) -> Verdicts:
    """By kind and name of each object: the result of each rule that looked at it, `pass`, `fail`, `skip` or `error`."""
    rules, every = list(policies), list(objects)
    found: Verdicts = defaultdict(dict)
    # The CLI compiles every rule again for each object, on one core.
    with ThreadPoolExecutor(_PARALLEL) as pool:
        outputs = pool.map(partial(_judge, folder, rules, every), range(_PARALLEL))
        results = [result for output in outputs for report in _documents(output) for result in report["results"]]
    for result in results:
        for resource in result["resources"]:
            found[resource["kind"], resource["name"]][result["policy"]] = result["result"]
    return found


def _judge(folder: Path, policies: list[Manifest], objects: list[Manifest], part: int) -> str:
    own = folder / str(part)
    own.mkdir()
    # The CLI answers 1 for a refusal as for a failure of its own: the reports tell them apart.
    return _apply(
        own, policies, objects[part::_PARALLEL], "--policy-report", "--output-format", "json", exit_codes=(0, 1)
    )


def generated(folder: Path, policies: Iterable[Manifest], triggers: Iterable[Manifest]) -> list[Manifest]:
    """Every object that generating rules make for these triggers."""
    made = folder / "made"
    made.mkdir()
    _apply(folder, policies, triggers, "--output", str(made), exit_codes=(0,))
    return [document for path in made.iterdir() for document in yaml.safe_load_all(path.read_text()) if document]


def _apply(
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
    assert ran.returncode in exit_codes, f"exit {ran.returncode}\n{ran.stderr}\n{ran.stdout[-2000:]}"
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
