"""The words by which objects tell the mesh what holds for them.

No SDK is loaded for them: `zt` reads them as well.
"""

SECURITY_API = "security.istio.io/v1"
# The dry-run annotation of https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/
DRY_RUN = "istio.io/dry-run"


def revision_label(revision: str) -> dict[str, str]:
    """The label that names a control plane; none where there is only one."""
    return {"istio.io/rev": revision} if revision else {}


def injection_label(revision: str) -> dict[str, str]:
    """The label of a namespace whose pods get a proxy of this control plane."""
    return revision_label(revision) or {"istio-injection": "enabled"}


def dry_run_annotation(authorization: str) -> dict[str, dict[str, str]]:
    """What a policy's metadata needs for this decision: the dry-run annotation, or nothing."""
    return {"annotations": {DRY_RUN: "true"}} if authorization == "dry-run" else {}
