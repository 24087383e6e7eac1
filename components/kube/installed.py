"""What others installed in a cluster: a controller by its labels, its flags and version, and the roles that it extends.

The checks of a layer with `mode: existing` are made of these. All of them only read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.parts import Manifest, part, parts, texts, word
from components.kube.support import line_of

_DEPLOYMENTS = "/apis/apps/v1/deployments"
_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
_VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_TENANTS = ("admin", "edit", "view")
_READS = {"get", "list", "watch"}
_TAGGED = "give its pods an image with its version as the tag, or the label app.kubernetes.io/version"
_NEWER = "read its release notes, and try it on another stack first"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:[.\-+].*)?")


def deployments(cluster: Cluster, labels: Mapping[str, str]) -> list[Manifest]:
    """The Deployments of all namespaces whose pods have these labels. Raises `UnreadableError`."""
    return [
        each
        for each in cluster.objects(_DEPLOYMENTS)
        if labels.items() <= part(each, "spec", "template", "metadata", "labels").items()
    ]


def controller(
    cluster: Cluster, about: str, namespace: str, labels: Mapping[str, str], fix: str
) -> tuple[Manifest | None, Line]:
    """The one Deployment in a namespace whose pods have these labels, and the line about it. Raises `UnreadableError`.

    `None` when there is none, or more than one: nobody could say which of them counts.
    """
    everywhere = deployments(cluster, labels)
    here = [each for each in everywhere if each["metadata"]["namespace"] == namespace]
    if len(here) == 1 and len(everywhere) == 1:
        (only,) = here
        wanted, ready = part(only, "spec").get("replicas", 1), part(only, "status").get("readyReplicas", 0)
        name = f"Deployment {namespace}/{only['metadata']['name']}"
        if not ready:
            return only, fails(about, f"{name} has no pod that is ready", f"kubectl describe deployment -n {namespace}")
        return only, ok(about, f"{name}, {ready} of {wanted} ready")
    if not everywhere:
        return None, fails(about, f"there is none in namespace {namespace}", fix)
    names = ", ".join(sorted(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in everywhere))
    found = f"it has to be the only one, in namespace {namespace}, and there is {names}"
    return None, fails(about, found, f"{fix}, and no second one")


def container_of(deployment: Manifest, name: str = "") -> Manifest:
    """The container of that name in the pods of a Deployment, or else the first one."""
    containers = parts(deployment, "spec", "template", "spec", "containers")
    return next((each for each in containers if each["name"] == name), containers[0] if containers else {})


def account_of(deployment: Manifest) -> str:
    """The service account of a Deployment's pods."""
    return str(part(deployment, "spec", "template", "spec").get("serviceAccountName") or "default")


def account_line(about: str, deployment: Manifest, due: str, why: str, value: str) -> Line:
    """The line about the account of a Deployment's pods; `value` is what the chart calls it."""
    account = account_of(deployment)
    if account == due:
        return ok(about, account)
    return fails(about, f"{account}, where {why} {due}", f"set {value}: {due}")


def flags(container: Manifest) -> dict[str, str]:
    """The flags among a container's command and arguments: the last one counts, one without a value is `true`."""
    values: dict[str, str] = {}
    for argument in (*texts(container, "command"), *texts(container, "args")):
        name, equals, value = argument.partition("=")
        if name.startswith("-"):
            values[name.lstrip("-")] = value if equals else "true"
    return values


def variables(container: Manifest) -> dict[str, str]:
    """The variables of a container whose values stand in its manifest."""
    return {each["name"]: str(each.get("value", "")) for each in parts(container, "env")}


def version_of(deployment: Manifest, container: str = "") -> str:
    """The version of a controller, by the tag of its image, or else by its label; empty when neither says it."""
    image = str(container_of(deployment, container).get("image", "")).partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    if _VERSION.fullmatch(tag):
        return tag
    return str(part(deployment, "metadata", "labels").get("app.kubernetes.io/version", ""))


def release_line(version: str) -> tuple[int, int] | None:
    """The release line of a version such as v1.31.0: (1, 31). `None` for what is no version."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def version_line(about: str, project: str, version: str, oldest: str) -> Line:
    """The line about a version: from `oldest` on it is taken, and one newer than what the tests run is remarked on."""
    tested = line_of(project).version
    this, first, last = release_line(version), release_line(oldest), release_line(tested)
    if this is None or first is None or last is None:
        return fails(about, f"neither an image's tag nor a label says it{f': {version}' if version else ''}", _TAGGED)
    if this < first:
        wanted = oldest if oldest == tested else f"{oldest} to {tested}"
        return fails(about, f"{version} lacks what the stack relies on", f"upgrade it to {wanted}")
    if this > last:
        return warns(about, f"{version} is newer than {tested}, which the tests run", _NEWER)
    return ok(about, version)


def granting_roles(cluster: Cluster, groups: Sequence[str]) -> Iterator[str]:
    """The ClusterRoles by which `admin`, `edit` or `view` of a namespace may write in an API group.

    Raises `UnreadableError`. https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
    """
    for role in cluster.objects(_ROLES):
        labels = part(role, "metadata", "labels")
        if not any(labels.get(f"{_AGGREGATE}{tenant}") == "true" for tenant in _TENANTS):
            continue
        rules = parts(role, "rules")
        if any({*groups, "*"} & {*texts(rule, "apiGroups")} and {*texts(rule, "verbs")} - _READS for rule in rules):
            yield str(role["metadata"]["name"])


def aggregation_line(cluster: Cluster, about: str, groups: Sequence[str], value: str) -> Line:
    """The line about roles that reach tenants; `value` is what the chart has against it. Raises `UnreadableError`."""
    roles = sorted(granting_roles(cluster, groups))
    if not roles:
        return ok(about, "no role of a namespace may write its kinds")
    label = f"{_AGGREGATE}{{{','.join(_TENANTS)}}}-"
    fix = f"set {value}, or kubectl label clusterrole {' '.join(roles)} {label}"
    return fails(about, f"whoever has `edit` or `admin` in a namespace may write its kinds by {', '.join(roles)}", fix)


def validating_hooks(cluster: Cluster, namespace: str) -> list[Manifest]:
    """The validating webhooks that lead to the Services of a namespace. Raises `UnreadableError`."""
    return [
        hook
        for each in cluster.objects(_VALIDATING)
        for hook in parts(each, "webhooks")
        if word(hook, "clientConfig", "service", "namespace") == namespace
    ]


def served_line(cluster: Cluster, about: str, group_version: str, kinds: Sequence[str], fix: str) -> Line:
    """The line about the kinds that the stack has objects of. Raises `UnreadableError`."""
    served = cluster.kinds(group_version)
    if missing := [kind for kind in kinds if kind not in served]:
        return fails(about, f"the cluster does not serve {', '.join(missing)} of {group_version}", fix)
    return ok(about, f"{group_version}: {', '.join(kinds)}")
