"""What the mesh's rules rely on in an Istio that others installed, of any vendor, by its revision.

Each check stands for a value of `istiod_values` or `cni_values`, which set it where the program installs Istio itself.
The settings are read where istiod reads them: its ConfigMaps, its variables and its webhooks.
https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
"""

from collections.abc import Iterator, Mapping
from typing import Any

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.installed import (
    container_of,
    controller,
    release_line,
    served_line,
    variables,
    version_line,
    version_of,
)
from components.kube.manifest import Manifest
from components.kube.mesh_labels import DEFAULT_REVISION, REVISION
from components.kube.names import MESH_NAMESPACE
from components.kube.parts import part, parts, word
from components.mesh.existing_proxy import INSTALL, MeshUse, injection
from components.mesh.revisions import TAG, config_name, injectors, revision_of, settings_in
from components.mesh.root_namespace import others_in_the_mesh, root_objects
from components.mesh.security import TRACING, MeshSecurityArgs

OLDEST = "1.29"
"""The oldest release line that Istio itself still mends beside the one that the tests run."""

# From this line on istiod injects native sidecars unless it is told not to.
_NATIVE_BY_DEFAULT = (1, 27)
_HOOKS = "/apis/admissionregistration.k8s.io/v1"
_SECURITY = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")
_OF_STACK = {"trustDomain": "trustDomain", "rootNamespace": "mesh.rootNamespace"}
# https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-default_service_export_to
_SEEN = {
    "defaultServiceExportTo": "a caller of another namespace does not know the service",
    "defaultDestinationRuleExportTo": "a caller of another namespace takes any identity for the service's",
}
_NETWORKING = ("DestinationRule", "ServiceEntry", "Sidecar")


def existing_mesh(cluster: Cluster, args: MeshSecurityArgs, use: MeshUse) -> Iterator[Line]:
    """The lines about an Istio that is there already. Raises `UnreadableError`."""
    upgrade = f"upgrade Istio to {OLDEST} or newer, with its CRDs"
    yield served_line(cluster, "kinds of Istio's security", "security.istio.io/v1", _SECURITY, upgrade)
    yield served_line(cluster, "kinds of Istio's networking", "networking.istio.io/v1", _NETWORKING, upgrade)
    name = args.revision or DEFAULT_REVISION
    every = list(injectors(cluster, args.namespace))
    revision = revision_of(every, name, args.namespace)
    about = f"istiod of revision {revision}" if revision == name else f"istiod of revision {revision}, tag {name}"
    labels = {"app": "istiod", REVISION: revision}
    istiod, line = controller(cluster, about, args.namespace, labels, INSTALL.format(args.namespace))
    yield line
    if istiod is None:
        return
    version, given = version_of(istiod, "discovery"), variables(container_of(istiod, "discovery"))
    yield version_line("version of Istio", "istio", version, OLDEST)
    yield from _features(args, use, version, given)
    config = _settings(cluster, args.namespace, given, config_name("istio", revision))
    yield from _mesh_config(config, args, config_name("istio", revision))
    yield from injection(cluster, args, use, config, revision)
    yield from _webhooks(cluster, args.namespace, name, revision)
    if args.root != args.namespace and cluster.found(f"/api/v1/namespaces/{args.root}") is None:
        yield fails(
            "root namespace of the mesh", f"there is no namespace {args.root}", "create it, as its owners would"
        )
    yield from root_objects(cluster, args.root)
    yield others_in_the_mesh(cluster, args, every, use.namespaces, use.others)


def _features(args: MeshSecurityArgs, use: MeshUse, version: str, given: Mapping[str, str]) -> Iterator[Line]:
    """The lines about istiod's variables: a feature is on by its variable, or by the default of the version."""
    if args.ambient:
        yield _variable("ambient mode", "PILOT_ENABLE_AMBIENT", given, "istiod configures no proxy of a node")
        if args.authorization == "dry-run":
            name = "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY"
            yield _variable("dry run in the ambient mode", name, given, "the dry run logs nothing")
    else:
        line = release_line(version)
        native = line is not None and line >= _NATIVE_BY_DEFAULT
        why = "a proxy that starts after the init containers cuts off Vault's agent and jobs never end"
        yield _variable("native sidecars", "ENABLE_NATIVE_SIDECARS", given, why, "true" if native else "")
    for name in ("PILOT_ENABLE_GATEWAY_API", "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER") if use.gateway else ():
        yield _variable("Gateway API in istiod", name, given, "nothing makes the Gateway's pods", "true")


def _variable(about: str, name: str, given: Mapping[str, str], why: str, default: str = "") -> Line:
    value = given.get(name, default)
    if value == "true":
        return ok(about, name if name in given else f"{name} by default")
    return fails(about, f"{name} is {value or 'absent'}: {why}", f'set pilot.env.{name}: "true" of istiod')


def _settings(cluster: Cluster, namespace: str, given: Mapping[str, str], name: str) -> Manifest:
    """The settings of the mesh; empty without any. istiod lets its own ones win over the shared ones."""
    places = [place for place in (given.get("SHARED_MESH_CONFIG", ""), name) if place]
    written = [settings_in(cluster, namespace, place) for place in places]
    config = {key: value for each in written for key, value in each.items()}
    proxies = {key: value for each in written for key, value in part(each, "defaultConfig").items()}
    return {**config, "defaultConfig": proxies} if config else {}


def _mesh_config(config: Mapping[str, Any], args: MeshSecurityArgs, name: str) -> Iterator[Line]:
    if not config:
        found = f"there is no ConfigMap {args.namespace}/{name} with mesh in it"
        yield fails("settings of the mesh", found, INSTALL.format(args.namespace))
        return
    for key, default, wanted, why in (
        ("trustDomain", "cluster.local", args.trust_domain, "identities in policies would be nobody's"),
        ("rootNamespace", MESH_NAMESPACE, args.root, "the mesh-wide rules would hold in one namespace alone"),
        ("outboundTrafficPolicy.mode", "ALLOW_ANY", "REGISTRY_ONLY", "a proxy lets its service reach any host"),
        (
            "pathNormalization.normalization",
            "BASE",
            "DECODE_AND_MERGE_SLASHES",
            "a rule on paths and the application read different ones",
        ),
    ):
        value = str(word(config, *key.split(".")) or default)
        about = f"meshConfig.{key}"
        if value == wanted:
            yield ok(about, value)
        else:
            fix = f"set meshConfig.{key}: {wanted} of istiod"
            fix += f", or {_OF_STACK[key]} in the stack file" if key in _OF_STACK else ""
            yield fails(about, f"{value}, not {wanted}: {why}", fix)
    yield from _other_settings(config, args)


def _other_settings(config: Mapping[str, Any], args: MeshSecurityArgs) -> Iterator[Line]:
    for key, why in _SEEN.items():
        if "*" not in config.get(key, ["*"]):
            about = f"meshConfig.{key}"
            yield fails(about, f"{', '.join(config[key])}: {why}", f"leave {about} out, or write '*' there")
    if aliases := config.get("trustDomainAliases"):
        found = f"identities of {', '.join(aliases)} count as those of {args.trust_domain}"
        yield warns("meshConfig.trustDomainAliases", found, "leave out those whose certificates have ended")
    if config.get("discoverySelectors"):
        fix = "leave meshConfig.discoverySelectors out"
        yield fails("meshConfig.discoverySelectors", "istiod knows only the namespaces with those labels", fix)
    if config.get("enableAutoMtls") is False:
        yield fails(
            "meshConfig.enableAutoMtls", "false: callers speak plaintext", "set it to true, which is its default"
        )
    if str(config.get("accessLogEncoding", "TEXT")) != "JSON":
        found = "TEXT: whoever reads the access logs has to parse them"
        yield warns("meshConfig.accessLogEncoding", found, "set meshConfig.accessLogEncoding: JSON of istiod")
    if args.tracing:
        names = [each.get("name") for each in parts(config, "extensionProviders")]
        about = "provider of spans"
        if TRACING in names:
            yield ok(about, f"extensionProviders has {TRACING}")
        else:
            address = f"{args.tracing.service}.{args.tracing.namespace}.svc.cluster.local:{args.tracing.port}"
            fix = f"add {TRACING} to meshConfig.extensionProviders, opentelemetry at {address}"
            yield fails(about, f"extensionProviders has no {TRACING}: no span is sent", fix)


def _webhooks(cluster: Cluster, namespace: str, name: str, revision: str) -> Iterator[Line]:
    """The lines about the webhooks of a revision: a pod without its proxy, or a policy that is none, must not pass.

    The pods have the `name`, a tag or the revision itself, and the webhook of that name injects their proxies.
    """
    for resource, label, value, about, why in (
        (
            "mutatingwebhookconfigurations",
            REVISION if name == revision else TAG,
            name,
            "injector of the revision",
            "a pod starts without its proxy",
        ),
        (
            "validatingwebhookconfigurations",
            REVISION,
            revision,
            "validation of the revision",
            "a policy that istiod cannot read is taken",
        ),
    ):
        own = [
            each
            for each in cluster.objects(f"{_HOOKS}/{resource}")
            if part(each, "metadata", "labels").get(label) == value
        ]
        hooks = [(each["metadata"]["name"], hook) for each in own for hook in parts(each, "webhooks")]
        open_hooks = sorted({name for name, hook in hooks if hook.get("failurePolicy") == "Ignore"})
        if not hooks:
            yield fails(about, f"no {resource} has the label {label}={value}", INSTALL.format(namespace))
        elif open_hooks:
            fix = "set base.validationFailurePolicy: Fail, and failurePolicy: Fail of the injector"
            yield fails(about, f"{', '.join(open_hooks)} fails open: while istiod is away {why}", fix)
        else:
            yield ok(about, f"{', '.join(sorted({name for name, _ in hooks}))} fails closed")
