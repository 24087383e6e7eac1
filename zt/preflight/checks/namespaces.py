"""Namespaces that are there already: whose they are, and whether the pods of the stack pass their Pod Security level.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterable

from components.program.objects_of_others import import_text, namespaces_of_others, own_namespaces
from zt.cluster.manifest import Manifest, part
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_ENFORCE = "pod-security.kubernetes.io/enforce"
_NAMESPACES = "/api/v1/namespaces"
LEVELS = ("privileged", "baseline", "restricted")
"""From the loosest to the strictest."""
# The strictest level that a pod passes which is excepted from a rule.
PASSES_WITHOUT = {
    **dict.fromkeys(
        (
            "disallow-host-namespaces",
            "disallow-host-path",
            "disallow-host-ports",
            "disallow-host-process",
            "disallow-privileged",
            "disallow-probe-hosts",
            "disallow-proc-mount",
            "restrict-apparmor-profiles",
            "restrict-selinux-options",
            "restrict-sysctls",
        ),
        "privileged",
    ),
    **dict.fromkeys(
        (
            "disallow-privilege-escalation",
            "drop-all-capabilities",
            "require-run-as-non-root",
            "require-seccomp-profile",
            "restrict-volume-types",
        ),
        "baseline",
    ),
}


def strictest(session: Session, namespace: str) -> tuple[str, str]:
    """The strictest level that every pod of the stack in a namespace passes, and which pod sets it."""
    if namespace == session.stack.settings.layers.mesh:
        return LEVELS[0], "the CNI plugin of the mesh works on the nodes"
    level, why = LEVELS[-1], ""
    for service in session.planned.services:
        for exception in service.exceptions if service.namespace == namespace else ():
            passes = PASSES_WITHOUT.get(exception.rule, LEVELS[-1])
            if LEVELS.index(passes) < LEVELS.index(level):
                level, why = passes, f"{service.key} is excepted from {exception.rule}"
    return level, why


def _pod_security(session: Session) -> Iterable[Line]:
    planned = {each.name: _labels(each.manifest["metadata"]).get(_ENFORCE) for each in session.created.of("Namespace")}
    labelled = {each["name"]: _labels(each).get(_ENFORCE) for each in session.cluster.metadata(_NAMESPACES)}
    lines = [
        _level_line(session, name, level, planned[name])
        for name, level in sorted(labelled.items())
        if name in planned and level
    ]
    yield from (line for line in lines if line)
    if not any(lines):
        yield ok("Pod Security levels", "no namespace of the stack has one that its pods do not pass")


def _level_line(session: Session, name: str, level: str, planned: str | None) -> Line | None:
    about = f"Pod Security level of namespace {name}"
    passes, why = strictest(session, name)
    remove = f"kubectl label namespace {name} {_ENFORCE}-"
    if planned and level != planned:
        return fails(about, f"{level}; the stack sets {planned}, and does not take the label from others", remove)
    if level not in LEVELS:
        return fails(about, f"{level} is none of {', '.join(LEVELS)}", remove)
    if LEVELS.index(level) > LEVELS.index(passes):
        fix = f"kubectl label --overwrite namespace {name} {_ENFORCE}={passes}"
        return fails(about, f"{level}, which pods of the stack do not pass: {why}", fix)
    if level == LEVELS[0] and passes != level:
        fix = f"kubectl label --overwrite namespace {name} {_ENFORCE}={passes}"
        return warns(about, f"{level}: it admits any pod, where {passes} would do", fix)
    return None


def _existing(session: Session) -> Iterable[Line]:
    about = "namespaces that are there already"
    own = own_namespaces(session.stack, session.planned)
    present = [each["name"] for each in session.cluster.metadata(_NAMESPACES) if each["name"] in own]
    imported = sorted({*present} & {*session.stack.settings.imports.namespaces})
    if foreign := namespaces_of_others(session.stack, session.planned, session.cluster):
        found = f"not this stack's: {', '.join(foreign)}; `pulumi up` refuses them"
        yield fails(about, found, f"in {session.file}: {import_text(foreign)}")
    elif present:
        taken = f"; imported: {', '.join(imported)}" if imported else ""
        yield ok(about, f"this stack's: {', '.join(sorted({*present} - {*imported})) or 'none'}{taken}")
    else:
        yield ok(about, "none of the stack's")


def _terminating(session: Session) -> Iterable[Line]:
    about = "namespaces that are being deleted"
    own = {each.name for each in session.created.of("Namespace")}
    gone = [each["name"] for each in session.cluster.metadata(_NAMESPACES) if each.get("deletionTimestamp")]
    if stuck := sorted(own & set(gone)):
        fix = f"wait until they are gone; if one is stuck, see why: kubectl get namespace {stuck[0]} --output yaml"
        yield fails(about, ", ".join(stuck), fix)
    else:
        yield ok(about, "none of the stack's")


def _labels(metadata: Manifest) -> Manifest:
    return part(metadata, "labels")


THEME = Theme(
    "namespaces",
    (
        Check("namespaces", "namespaces that are there already", _existing),
        Check("terminating", "namespaces that are being deleted", _terminating),
        Check("pod-security", "Pod Security levels", _pod_security),
    ),
)
