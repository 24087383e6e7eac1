"""Cases of the rule library as requests to the API server, and what came of them."""

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.e2e.plane import Plane
from tests.policy import cases
from tests.policy.cases import Case, Manifest, merge

_PARALLEL = 4
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_EPHEMERAL = "ephemeralContainers"
# The API server refuses a pod whose service account it does not know.
_ACCOUNTS = ("api", "default-api")


@dataclass(frozen=True)
class Outcome:
    """The rules that refused a request, or that the API server found the object itself invalid, or neither."""

    rules: frozenset[str] = frozenset()
    invalid: bool = False
    message: str = ""


class RefusedError(Exception):
    """The API server did not do what it was asked to."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Admission:
    """Asks the API server about objects, each in a namespace with what has to be beside it."""

    def __init__(self, plane: Plane, rules: Iterable[str], api: Any = None) -> None:
        self.plane = plane
        self._api = api or plane.api
        self._rule = re.compile(rf"\b(?:vpol-)?({'|'.join(sorted(rules, key=len, reverse=True))})\b")
        self._places: dict[str, str] = {}
        self._targets: dict[tuple[str, str], str] = {}

    def judge(self, every: Sequence[Case]) -> dict[str, Outcome]:
        """What admission says of each case, by its id. The objects themselves are not stored."""
        for case in every:
            if str(case.beside) not in self._places:
                self._places[str(case.beside)] = self._furnish(f"cases-{len(self._places)}", case.beside)
            if _EPHEMERAL in case.manifest["spec"]:
                self._run_target(case.manifest["spec"], self._places[str(case.beside)])
        with ThreadPoolExecutor(_PARALLEL) as pool:
            outcomes = list(pool.map(self._judge_one, every, (f"case-{number}" for number in range(len(every)))))
        return {case.id: outcome for case, outcome in zip(every, outcomes, strict=True)}

    def furnish(self, namespace: str) -> None:
        """Create what the pods of the cases name, where it is missing."""
        known = {item.metadata.name for item in self.plane.core.list_namespaced_service_account(namespace).items}
        for account in _ACCOUNTS:
            if account not in known:
                self.plane.core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})

    def clear(self) -> None:
        """Delete the namespaces of the cases, with all that is in them."""
        for namespace in self._places.values():
            self.plane.core.delete_namespace(namespace)
        self._places.clear()
        self._targets.clear()

    def _furnish(self, namespace: str, beside: Sequence[Manifest]) -> str:
        self.plane.core.create_namespace({"metadata": {"name": namespace}})
        self.furnish(namespace)
        for manifest in beside:
            own = manifest["metadata"]["namespace"] == cases.NAMESPACE
            self.request("POST", manifest, namespace if own else "")
        return namespace

    def _run_target(self, spec: Manifest, namespace: str) -> None:
        """The pod that an ephemeral container is added to: it cannot be created with one."""
        target = (namespace, _without_ephemeral(spec))
        if target not in self._targets:
            self._targets[target] = f"target-{len(self._targets)}"
            pod = cases.wrap("Pod", self._targets[target], json.loads(target[1]), cases.BASELINE["labels"])
            self.request("POST", pod, namespace)

    def _judge_one(self, case: Case, name: str) -> Outcome:
        manifest = merge(case.manifest, {"metadata": {"name": name}})
        namespace = manifest["metadata"]["namespace"]
        if namespace == cases.NAMESPACE:
            namespace = self._places[str(case.beside)]
        if _EPHEMERAL in manifest["spec"]:
            return self._add_ephemeral_container(manifest["spec"], namespace)
        return self.dry_run("POST", manifest, namespace)

    def _add_ephemeral_container(self, spec: Manifest, namespace: str) -> Outcome:
        name = self._targets[namespace, _without_ephemeral(spec)]
        body: Any = self.plane.api.sanitize_for_serialization(self.plane.core.read_namespaced_pod(name, namespace))
        body["spec"][_EPHEMERAL] = spec[_EPHEMERAL]
        return self.dry_run("PUT", {**body, "apiVersion": "v1", "kind": "Pod"}, namespace, "ephemeralcontainers")

    def dry_run(self, verb: str, manifest: Manifest, namespace: str, subresource: str = "") -> Outcome:
        """What comes of a request that stores nothing."""
        try:
            self.request(verb, manifest, namespace, subresource, dry_run=True)
        except RefusedError as refused:
            rules = frozenset(self._rule.findall(refused.message))
            invalid = not rules and refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
            return Outcome(rules, invalid, refused.message)
        return Outcome()

    def request(
        self,
        verb: str,
        manifest: Manifest,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
    ) -> Any:
        """Send an object of any kind, into `namespace` when that is given, or get or delete the one of its name.

        With `strict` a field that the API does not know is an error, as it is for a run of Pulumi, and not left out.
        https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
        """
        metadata = manifest["metadata"]
        namespace = namespace or metadata.get("namespace", "")
        group = f"/apis/{manifest['apiVersion']}" if "/" in manifest["apiVersion"] else f"/api/{manifest['apiVersion']}"
        plural = _plural(manifest["kind"].lower())
        path = f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}"
        if verb != "POST":
            path += f"/{metadata['name']}"
        if subresource:
            path += f"/{subresource}"
        body = None if verb in ("GET", "DELETE") else merge(manifest, {"metadata": {"namespace": namespace or None}})
        asked = [*(["dryRun=All"] if dry_run else []), *(["fieldValidation=Strict"] if strict else [])]
        return self._call(verb, f"{path}{'?' if asked else ''}{'&'.join(asked)}", body)

    def answer(self, verb: str, path: str, body: Manifest | None = None) -> str:
        """What the API server says to a request that it refuses; empty when it does not."""
        try:
            self._call(verb, path, body)
        except RefusedError as refused:
            return refused.message
        return ""

    def _call(self, verb: str, path: str, body: Manifest | None) -> Any:
        response = self._api.call_api(
            verb,
            f"{self._api.configuration.host}{path}",
            # The client adds its own, a token among them, to the calls that it generates alone.
            header_params={
                **self._api.default_headers,
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            body=body,
        )
        answer = json.loads(response.read())
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(response.status, answer["message"])
        return answer


def _without_ephemeral(spec: Manifest) -> str:
    return json.dumps({key: value for key, value in spec.items() if key != _EPHEMERAL})


def _plural(kind: str) -> str:
    if kind.endswith("ss"):
        return f"{kind}es"
    return f"{kind[:-1]}ies" if kind.endswith(("cy", "ry")) else f"{kind}s"
