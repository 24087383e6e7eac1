"""What an Istio that others installed gives each proxy: what the rules refuse of its pod, and what leads past it.

The settings are those that the injector's templates read: its own values, and the configuration of proxies in the
mesh's settings and in objects `ProxyConfig`.
https://github.com/istio/istio/blob/1.31.0/manifests/charts/istio-control/istio-discovery/files/injection-template.yaml
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok
from components.kube.manifest import Manifest
from components.kube.parts import json_object, part, texts, word
from components.mesh.network import ISTIOD_PORT
from components.mesh.proxy_config import image_type, is_past_the_proxy, plain_keys, refused_settings
from components.mesh.revisions import config_map, config_name, mapping_in
from components.mesh.root_namespace import mesh_wide, name_of
from components.mesh.security import MeshSecurityArgs
from components.schema.quantity import amount

INSTALL = "install it in {0}, or name its mesh.namespace and mesh.revision, or mesh.mode: helm"
_DAEMON_SETS = "/apis/apps/v1/daemonsets"
_DOMAIN = "cluster.local"
_PROXY = "proxyv2"
_TYPES = ("-distroless", "-debug")
_PROFILES = ("", "RuntimeDefault", "Localhost")
# As the rules know them, in policies/critical/disallow-proxy-user.
_HOOK = re.compile(r"pilot-agent (wait|request --debug-port=[0-9]+ POST drain)")


@dataclass(frozen=True)
class MeshUse:
    """What a stack takes of a mesh beside the mesh-wide rules.

    `proxy_images` are those that the rules know as the mesh's, `namespaces` those of the stack, `others` the namespaces
    of others that have agreed to the mesh-wide rules. With `gateway` istiod makes the pods of the stack's Gateway.
    """

    proxy_images: Sequence[str] = ()
    namespaces: Sequence[str] = ()
    others: Sequence[str] = ()
    gateway: bool = True


@dataclass(frozen=True)
class _Told:
    """A configuration of every proxy of the mesh, and where it stands."""

    where: str
    config: Manifest


def injection(
    cluster: Cluster, args: MeshSecurityArgs, use: MeshUse, mesh: Mapping[str, Any], revision: str
) -> Iterator[Line]:
    """The lines about the injector of a revision and the proxies of a mesh with these settings.

    Raises `UnreadableError`.
    """
    name = config_name("istio-sidecar-injector", revision)
    found = cluster.found(config_map(args.namespace, name)) or {}
    values = json_object(word(found, "data", "values"))
    if not values:
        absent = f"there is no ConfigMap {args.namespace}/{name} with values"
        yield fails("values of the injector", absent, INSTALL.format(args.namespace))
        return
    told = [_Told("meshConfig.defaultConfig", part(mesh, "defaultConfig")), *_objects(cluster, args.root)]
    yield _cni(cluster, args, values)
    yield _images(values, told, use.proxy_images)
    if use.gateway:
        yield _gateways(values)
    if args.ambient:
        return
    yield _past(values, told)
    yield _rights(values)
    yield _refused(values, mesh, told)
    yield _istiod(values, told, args.namespace)
    yield _probes(values)
    yield _domain(values)
    yield _chosen(word(found, "data", "config"))


def _objects(cluster: Cluster, root: str) -> Iterator[_Told]:
    for each in mesh_wide(cluster, root, "networking.istio.io/v1beta1", "proxyconfigs"):
        spec = part(each, "spec")
        config: Manifest = {"proxyMetadata": part(spec, "environmentVariables"), "image": part(spec, "image")}
        yield _Told(f"ProxyConfig {name_of(each)}", config)


def _cni(cluster: Cluster, args: MeshSecurityArgs, values: Mapping[str, Any]) -> Line:
    about = "CNI plugin of the mesh"
    on = part(values, "pilot", "cni").get("enabled") or part(values, "istio_cni").get("enabled")
    agents = {
        str(part(each, "spec", "template", "metadata", "labels").get("k8s-app") or each["metadata"]["name"])
        for each in cluster.objects(_DAEMON_SETS)
    }
    if args.ambient and "ztunnel" not in {*agents, *(each["name"] for each in cluster.metadata(_DAEMON_SETS))}:
        return fails("proxies of the nodes", "there is no DaemonSet ztunnel", "install Istio's chart ztunnel")
    if on and "istio-cni-node" in agents:
        return ok(about, "the injector uses it, and a node agent brings it")
    found = "no node agent istio-cni-node" if on else "the injector gives each pod an init container with NET_ADMIN"
    fix = "install Istio's chart cni, and set pilot.cni.enabled: true of istiod"
    return fails(about, f"{found}: the rules refuse such pods, and pods without it are not in the mesh", fix)


def _images(values: Mapping[str, Any], told: Sequence[_Told], known: Sequence[str]) -> Line:
    """The proxy's image, and that of the container that proves the redirection."""
    about = "image of the proxy"
    proxy, first = (word(values, "global", key, "image") or _PROXY for key in ("proxy", "proxy_init"))
    types = [image_type(each.config) for each in told]
    needed = [_reference(values, proxy, kind) for kind in dict.fromkeys(filter(None, types))] or [
        _reference(values, proxy, "")
    ]
    needed.append(_reference(values, first, ""))
    missing = [reference for reference in dict.fromkeys(needed) if reference not in known]
    if not missing:
        return ok(about, ", ".join(dict.fromkeys(needed)))
    fix = f"add {' and '.join(missing)} to platformImages: the rules admit what the injector adds by image and version"
    return fails(about, f"{', '.join(missing)} is not among {', '.join(known) or 'none'}", fix)


def _reference(values: Mapping[str, Any], image: str, kind: str) -> str:
    if "/" in image:
        return image
    hub, tag = word(values, "global", "hub"), word(values, "global", "tag")
    kind = kind or word(values, "global", "variant")
    if kind:
        tag = next((tag.removesuffix(each) for each in _TYPES if tag.endswith(each)), tag)
    return f"{hub}/{image}:{tag}{f'-{kind}' if kind not in ('', 'default') else ''}"


def _gateways(values: Mapping[str, Any]) -> Line:
    """What a Gateway's pods have: a security context of their own takes the place of the profile."""
    about, own = "seccomp profile of gateways", part(values, "gateways", "securityContext")
    key = "gateways.securityContext.seccompProfile" if own else "gateways.seccompProfile"
    profile = word(own or part(values, "gateways"), "seccompProfile", "type")
    why = f"{profile or 'absent'}: the namespace of the Gateway admits restricted pods alone"
    if profile == "RuntimeDefault":
        return ok(about, profile)
    return fails(about, why, f"set {key}.type: RuntimeDefault of istiod")


def _past(values: Mapping[str, Any], told: Sequence[_Told]) -> Line:
    proxy = part(values, "global", "proxy")
    past = [
        f"{key}: {proxy[key]}"
        for key in ("excludeIPRanges", "excludeInboundPorts", "excludeOutboundPorts")
        if proxy.get(key)
    ]
    every = ("includeIPRanges", "includeInboundPorts")
    past += [f"{key}: {proxy[key]}" for key in every if proxy.get(key, "*") != "*"]
    past += [f"{each.where}.interceptionMode: NONE" for each in told if is_past_the_proxy(each.config)]
    about = "traffic past the proxies"
    if past:
        fix = "leave these out of global.proxy of istiod, and of meshConfig.defaultConfig"
        return fails(about, "no rule of the mesh holds for it", fix, *past)
    return ok(about, "none by default")


def _rights(values: Mapping[str, Any]) -> Line:
    proxy = part(values, "global", "proxy")
    rights = [key for key in ("privileged", "enableCoreDump") if proxy.get(key)]
    rights += ["capNetBindService"] if str(proxy.get("capNetBindService", "")).lower() == "true" else []
    about = "rights of the proxies"
    if rights:
        return fails(about, "the rules refuse such pods", "leave these out of global.proxy of istiod", *rights)
    return ok(about, "none beyond a pod's")


def _refused(values: Mapping[str, Any], mesh: Mapping[str, Any], told: Sequence[_Told]) -> Line:
    """What the injector writes into a proxy, and the rules take for a container that is not the platform's."""
    about = "what proxies have that the rules do not know"
    found = [f"{each.where}: {key} {why}" for each in told for key, why in refused_settings(each.config)]
    if word(mesh, "inboundTrafficPolicy", "mode").upper() == "LOCALHOST":
        found.append("meshConfig.inboundTrafficPolicy.mode: LOCALHOST gives a proxy a variable of its own")
    found += _of_values(values)
    if found:
        return fails(about, "the rules refuse every pod with such a proxy", "leave these out of istiod", *found)
    return ok(about, "nothing")


def _of_values(values: Mapping[str, Any]) -> Iterator[str]:
    proxy = part(values, "global", "proxy")
    if part(values, "global").get("mountMtlsCerts"):
        yield "global.mountMtlsCerts mounts /etc/certs"
    if proxy.get("tracer") == "lightstep":
        yield "global.proxy.tracer: lightstep mounts certificates of its own"
    lifecycle = part(proxy, "lifecycle")
    commands = [" ".join(texts(lifecycle, hook, "exec", "command")) for hook in lifecycle]
    if any(command and not _HOOK.fullmatch(command) for command in commands):
        yield "global.proxy.lifecycle runs a command of its own"
    profile = word(proxy, "seccompProfile", "type")
    if profile not in _PROFILES:
        yield f"global.proxy.seccompProfile.type: {profile} is no profile"
    if "resources" in proxy and (absent := list(_without_amount(part(proxy, "resources")))):
        yield f"global.proxy.resources has no {', '.join(absent)}"


def _without_amount(resources: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            try:
                positive = amount(str(part(resources, kind).get(name) or 0)) > 0
            except ValueError:
                positive = False
            if not positive:
                yield f"{kind}.{name}"


def _istiod(values: Mapping[str, Any], told: Sequence[_Told], namespace: str) -> Line:
    """What a proxy asks for its certificate and its configuration: the network policies lead to istiod alone."""
    about = "istiod of the proxies"
    asked = {"global.caAddress": word(values, "global", "caAddress")}
    for each in told:
        keys = plain_keys(each.config)
        asked[f"{each.where}.discoveryAddress"] = str(keys.get("discoveryaddress", ("", ""))[1] or "")
        if str(keys.get("controlplaneauthpolicy", ("", ""))[1]).upper() in ("NONE", "0"):
            asked[f"{each.where}.controlPlaneAuthPolicy"] = "NONE"
    own = re.compile(rf"istiod[-a-z0-9]*\.{re.escape(namespace)}\.svc(\.{re.escape(_DOMAIN)})?:{ISTIOD_PORT}")
    other = [f"{key}: {value}" for key, value in asked.items() if value and not own.fullmatch(value)]
    if other:
        found = f"another one: no network policy lets a proxy reach it, only istiod.{namespace}.svc:{ISTIOD_PORT}"
        return fails(about, found, "leave these out of istiod", *other)
    return ok(about, f"that of {namespace}, at port {ISTIOD_PORT}")


def _probes(values: Mapping[str, Any]) -> Line:
    about = "probes of the kubelet"
    if part(values, "sidecarInjectorWebhook").get("rewriteAppHTTPProbe", True):
        return ok(about, "the proxy passes them on")
    why = "not rewritten: with mutual TLS no pod with an HTTP probe becomes ready"
    return fails(about, why, "set sidecarInjectorWebhook.rewriteAppHTTPProbe: true of istiod")


def _domain(values: Mapping[str, Any]) -> Line:
    about, domain = "domain of the cluster", word(values, "global", "proxy", "clusterDomain") or _DOMAIN
    if domain == _DOMAIN:
        return ok(about, domain)
    found = f"{domain}, not {_DOMAIN}: what the mesh is told of a service holds for a host that nobody has"
    return fails(about, found, f"set global.proxy.clusterDomain: {_DOMAIN} of istiod")


def _chosen(text: str) -> Line:
    """Which pods the injector leaves alone, and what it gives to the others."""
    about = "pods that the injector leaves alone"
    config = mapping_in(text)
    found: list[str] = []
    if config.get("neverInjectSelector"):
        found.append("neverInjectSelector: whoever may label a pod takes it out of the mesh")
    if config.get("policy") == "disabled":
        found.append("policy: disabled leaves every pod without a label of its own alone")
    templates = texts(config, "defaultTemplates")
    if templates not in ([], ["sidecar"]):
        found.append(f"defaultTemplates: {', '.join(templates)} gives pods another proxy")
    if found:
        fix = "leave these out of sidecarInjectorWebhook, and set global.proxy.autoInject: enabled of istiod"
        return fails(about, "they start without the proxy", fix, *found)
    return ok(about, "none")
