"""The table of the vault package: each resource type, where it lives in the Vault API and what its properties are.

Names and types are those of pulumi_vault 7.14; ids, defaults, what replaces and what the server may choose follow the
resource schemas of hashicorp/terraform-provider-vault 5.x, paths and fields the HTTP API (openbao.org/api-docs).
"""

from .rows import OBJECT_ID, Endpoint, Kind, Prop, Row, Values

_NAMESPACE = {"namespace": "the embedded Vault has only its root namespace"}
_ENTERPRISE = "it belongs to Vault Enterprise"


def _kv_alias(answer: dict[str, object], state: Values) -> dict[str, object]:
    """A mount asked for as ``kv-v2`` is answered as ``kv`` with a version option; give it back as it was asked for."""
    options = answer.get("options")
    if state.get("type") != "kv-v2" or answer.get("type") != "kv" or not isinstance(options, dict):
        return answer
    said = state.get("options")
    kept = {k: v for k, v in options.items() if k != "version" or (isinstance(said, dict) and "version" in said)}
    return {**answer, "type": "kv-v2", "options": kept}


def _without_data(answer: dict[str, object], _: Values) -> dict[str, object]:
    """Keep what was read out of the state: upstream leaves the property empty."""
    return {k: v for k, v in answer.items() if k != "data"}


def _type_is_path(inputs: dict[str, object]) -> dict[str, object]:
    """Audit devices and auth methods are mounted at their type where no path is given."""
    return {"path": inputs["type"], **inputs} if inputs.get("type") else inputs


def _not_both_wildcards(inputs: Values) -> str | None:
    if inputs.get("boundServiceAccountNames") == ["*"] and inputs.get("boundServiceAccountNamespaces") == ["*"]:
        return 'boundServiceAccountNames and boundServiceAccountNamespaces can\'t both be ["*"]: that admits every pod.'
    return None


MOUNT = Row(
    "vault:index/mount:Mount",
    "{path}",
    endpoint=Endpoint(
        "sys/mounts/{path}", update="sys/mounts/{path}/tune", absent="No secret engine mount at", remount=""
    ),
    props=(
        Prop("path", Kind.PATH, required=True),
        Prop("type", api="type", required=True, replaces=True),
        Prop("description", api="description"),
        Prop("options", Kind.MAP, "options"),
        Prop("local", Kind.FLAG, "local", replaces=True),
        Prop("sealWrap", Kind.FLAG, "seal_wrap", computed=True, replaces=True),
        Prop("externalEntropyAccess", Kind.FLAG, "external_entropy_access", default=False, replaces=True),
        Prop("defaultLeaseTtlSeconds", Kind.SECONDS, "config.default_lease_ttl", computed=True),
        Prop("maxLeaseTtlSeconds", Kind.SECONDS, "config.max_lease_ttl", computed=True),
        Prop("forceNoCache", Kind.FLAG, "config.force_no_cache", computed=True),
        Prop("listingVisibility", Kind.TEXT, "config.listing_visibility"),
        Prop("auditNonHmacRequestKeys", Kind.LIST, "config.audit_non_hmac_request_keys", computed=True),
        Prop("auditNonHmacResponseKeys", Kind.LIST, "config.audit_non_hmac_response_keys", computed=True),
        Prop("passthroughRequestHeaders", Kind.LIST, "config.passthrough_request_headers"),
        Prop("allowedResponseHeaders", Kind.LIST, "config.allowed_response_headers"),
        Prop("accessor", api="accessor", output=True),
    ),
    unsupported={
        **_NAMESPACE,
        "allowedManagedKeys": _ENTERPRISE,
        "delegatedAuthAccessors": _ENTERPRISE,
        "identityTokenKey": _ENTERPRISE,
        "pluginVersion": "the embedded Vault has built-in plugins only",
    },
    unsaid={"allowedManagedKeys": [], "delegatedAuthAccessors": [], "identityTokenKey": ""},
    adapt=_kv_alias,
)

POLICY = Row(
    "vault:index/policy:Policy",
    "{name}",
    endpoint=Endpoint("sys/policies/acl/{name}", overwrites_if="allowOverwrite", lasting=True),
    props=(
        Prop("name", required=True, replaces=True, autoname=True),
        Prop("policy", Kind.DOCUMENT, "policy", required=True),
        Prop("allowOverwrite", Kind.FLAG),
    ),
    unsupported=_NAMESPACE,
)

AUDIT = Row(
    "vault:index/audit:Audit",
    "{path}",
    endpoint=Endpoint("sys/audit/{path}", read="sys/audit", entry="{path}/", unread_new=True),
    props=(
        Prop("path", Kind.PATH, computed=True, replaces=True),
        Prop("type", api="type", required=True, replaces=True),
        Prop("description", api="description", replaces=True),
        Prop("options", Kind.MAP, "options", required=True, replaces=True),
        Prop("local", Kind.FLAG, "local", replaces=True, unreadable=True),
    ),
    unsupported=_NAMESPACE,
    derive=_type_is_path,
)

AUTH_BACKEND = Row(
    "vault:index/authBackend:AuthBackend",
    "{path}",
    # The official provider mounts and unmounts at one path, and reads and tunes at another.
    endpoint=Endpoint(
        "sys/auth/{path}",
        read="sys/mounts/auth/{path}",
        update="sys/mounts/auth/{path}/tune",
        absent="No secret engine mount at",
        remount="auth/",
    ),
    also=Endpoint("sys/mounts/auth/{path}/tune"),
    props=(
        Prop("path", Kind.PATH, computed=True, replaces_if="disableRemount"),
        Prop("type", api="type", required=True, replaces=True),
        Prop("description", api="description"),
        Prop("local", Kind.FLAG, "local", replaces=True),
        Prop("disableRemount", Kind.FLAG, default=False),
        Prop(
            "tune",
            Kind.OBJECT,
            computed=True,
            also=True,
            inner=(
                Prop("defaultLeaseTtl", Kind.DURATION, "default_lease_ttl", kept="said"),
                Prop("maxLeaseTtl", Kind.DURATION, "max_lease_ttl", kept="said"),
                Prop("listingVisibility", Kind.TEXT, "listing_visibility", kept="empty"),
                Prop("tokenType", Kind.TEXT, "token_type", kept="empty"),
                Prop("auditNonHmacRequestKeys", Kind.LIST, "audit_non_hmac_request_keys"),
                Prop("auditNonHmacResponseKeys", Kind.LIST, "audit_non_hmac_response_keys"),
                Prop("passthroughRequestHeaders", Kind.LIST, "passthrough_request_headers"),
                Prop("allowedResponseHeaders", Kind.LIST, "allowed_response_headers"),
            ),
        ),
        Prop("accessor", api="accessor", output=True),
    ),
    unsupported={**_NAMESPACE, "identityTokenKey": _ENTERPRISE},
    derive=_type_is_path,
)

KUBERNETES_CONFIG = Row(
    "vault:kubernetes/authBackendConfig:AuthBackendConfig",
    "auth/{backend}/config",
    endpoint=Endpoint("auth/{backend}/config", deletes=False),
    props=(
        Prop("backend", Kind.PATH, default="kubernetes", replaces=True),
        Prop("kubernetesHost", api="kubernetes_host", required=True),
        Prop("kubernetesCaCert", Kind.DOCUMENT, "kubernetes_ca_cert", computed=True),
        Prop("tokenReviewerJwt", api="token_reviewer_jwt", secret=True, unreadable=True),
        Prop("tokenReviewerJwtWo", api="token_reviewer_jwt", secret=True, write_only=True),
        Prop("tokenReviewerJwtWoVersion", Kind.INTEGER),
        Prop("pemKeys", Kind.LIST, "pem_keys"),
        Prop("issuer", api="issuer"),
        # Upstream sends false where the program leaves it out, and the server's own choice would be true.
        Prop("disableIssValidation", Kind.FLAG, "disable_iss_validation", computed=True, always_sent=True),
        Prop("disableLocalCaJwt", Kind.FLAG, "disable_local_ca_jwt", computed=True),
        Prop("useAnnotationsAsAliasMetadata", Kind.FLAG, "use_annotations_as_alias_metadata", computed=True),
    ),
    unsupported=_NAMESPACE,
    exclusive=(("tokenReviewerJwt", "tokenReviewerJwtWo"),),
    together=(("tokenReviewerJwtWo", "tokenReviewerJwtWoVersion"),),
)

KUBERNETES_ROLE = Row(
    "vault:kubernetes/authBackendRole:AuthBackendRole",
    "auth/{backend}/role/{roleName}",
    endpoint=Endpoint("auth/{backend}/role/{roleName}"),
    props=(
        Prop("backend", Kind.PATH, default="kubernetes", replaces=True),
        Prop("roleName", Kind.PATH, required=True, replaces=True),
        Prop("boundServiceAccountNames", Kind.SET, "bound_service_account_names", required=True),
        Prop("boundServiceAccountNamespaces", Kind.SET, "bound_service_account_namespaces"),
        Prop("boundServiceAccountNamespaceSelector", api="bound_service_account_namespace_selector"),
        Prop("audience", api="audience", sparse=True),
        Prop("aliasNameSource", api="alias_name_source", computed=True),
        Prop("tokenBoundCidrs", Kind.CIDRS, "token_bound_cidrs"),
        Prop("tokenExplicitMaxTtl", Kind.SECONDS, "token_explicit_max_ttl"),
        Prop("tokenMaxTtl", Kind.SECONDS, "token_max_ttl"),
        Prop("tokenNoDefaultPolicy", Kind.FLAG, "token_no_default_policy"),
        Prop("tokenNumUses", Kind.INTEGER, "token_num_uses"),
        Prop("tokenPeriod", Kind.SECONDS, "token_period"),
        Prop("tokenPolicies", Kind.SET, "token_policies"),
        Prop("tokenTtl", Kind.SECONDS, "token_ttl"),
        Prop("tokenType", api="token_type", default="default"),
    ),
    unsupported={
        **_NAMESPACE,
        "aliasMetadata": "the embedded Vault (OpenBao) has no such field; Vault has it since 1.21",
    },
    unsaid={"aliasMetadata": {}},
    any_of=(("boundServiceAccountNamespaces", "boundServiceAccountNamespaceSelector"),),
    validate=_not_both_wildcards,
)

KV_CONFIG = Row(
    "vault:kv/secretBackendV2:SecretBackendV2",
    "{mount}/config",
    endpoint=Endpoint("{mount}/config", deletes=False),
    props=(
        Prop("mount", Kind.PATH, required=True, replaces=True),
        Prop("maxVersions", Kind.INTEGER, "max_versions", computed=True, always_sent=True),
        Prop("casRequired", Kind.FLAG, "cas_required", computed=True, always_sent=True),
        Prop("deleteVersionAfter", Kind.SECONDS, "delete_version_after", always_sent=True),
    ),
    unsupported=_NAMESPACE,
)

KV_SECRET = Row(
    "vault:kv/secretV2:SecretV2",
    "{mount}/data/{name}",
    endpoint=Endpoint("{mount}/data/{name}", unread_if="disableRead"),
    also=Endpoint("{mount}/metadata/{name}", deletes_if="deleteAllVersions", rewritten=True),
    props=(
        Prop("mount", Kind.PATH, required=True, replaces=True),
        Prop("name", Kind.PATH, required=True, replaces=True, autoname=True),
        # Upstream does not read it back, and so never sees that somebody else wrote another version.
        Prop("dataJson", Kind.JSON, "data", secret=True, unreadable=True),
        Prop("dataJsonWo", Kind.JSON, "data", secret=True, write_only=True),
        Prop("dataJsonWoVersion", Kind.INTEGER),
        Prop("options", Kind.MAP, "options", unreadable=True),
        # Upstream sends it beside the options, where no server looks for it: the one in ``options`` counts.
        Prop("cas", Kind.INTEGER, "cas", unreadable=True),
        Prop("deleteAllVersions", Kind.FLAG, default=False),
        Prop("disableRead", Kind.FLAG, default=False),
        Prop(
            "customMetadata",
            Kind.OBJECT,
            computed=True,
            also=True,
            inner=(
                Prop("casRequired", Kind.FLAG, "cas_required"),
                Prop("data", Kind.MAP, "custom_metadata"),
                Prop("deleteVersionAfter", Kind.SECONDS, "delete_version_after"),
                Prop("maxVersions", Kind.INTEGER, "max_versions"),
            ),
        ),
        Prop("data", Kind.TEXTS, "data", output=True, secret=True),
        Prop("metadata", Kind.TEXTS, "metadata", output=True, volatile=True),
        Prop("path", api=OBJECT_ID, output=True),
    ),
    unsupported=_NAMESPACE,
    exclusive=(("dataJson", "dataJsonWo"),),
    any_of=(("dataJson", "dataJsonWo"),),
    together=(("dataJsonWo", "dataJsonWoVersion"),),
    adapt=_without_data,
)

ROWS = (MOUNT, POLICY, AUDIT, AUTH_BACKEND, KUBERNETES_CONFIG, KUBERNETES_ROLE, KV_CONFIG, KV_SECRET)
