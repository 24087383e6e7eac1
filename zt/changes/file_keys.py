"""The direction of each key of a file that is a fact of its own, with the reason for it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from components.schema.fields import seconds
from zt.changes.comparisons import (
    Class,
    Comparison,
    later_is_weaker,
    more_is_stronger,
    more_is_weaker,
    neutral,
    scale,
    unknown,
)
from zt.changes.direction import TRUST, Direction
from zt.facts.cover import host_covers, network_covers
from zt.facts.file_keys import NONE, UNSET, defaults_of


def _by_cover(narrower: bool, wider: bool) -> Class | None:
    """The class of a change to a wider set (weaker), or to a narrower one."""
    if narrower and wider:
        return Class.NEUTRAL
    if narrower or wider:
        return Class.WEAKER if wider else Class.STRONGER
    return None


def _items(value: str) -> frozenset[str]:
    return frozenset() if value in (UNSET, NONE) else frozenset(value.split(", "))


def more_of_them(before: str, after: str) -> Class | None:
    """Compare lists of what is allowed: more of it is weaker, and another one is unknown."""
    old, new = _items(before), _items(after)
    return _by_cover(new <= old, old <= new)


def fewer_of_them(before: str, after: str) -> Class | None:
    """Compare lists of what is closed: less of it is weaker, and another one is unknown."""
    return more_of_them(after, before)


def _networks_within(narrow: frozenset[str], wide: frozenset[str]) -> bool:
    return all(any(network_covers(outer, inner) for outer in wide) for inner in narrow)


def networks(before: str, after: str) -> Class | None:
    """Compare networks that are let in: wider ones are weaker, and none are any network, the widest."""
    old, new = _items(before), _items(after)
    if not old or not new:
        return _by_cover(not old, not new)
    return _by_cover(_networks_within(new, old), _networks_within(old, new))


def named_networks(before: str, after: str) -> Class | None:
    """Compare networks that are let in, and no others: wider ones are weaker."""
    old, new = _items(before), _items(after)
    return _by_cover(_networks_within(new, old), _networks_within(old, new))


def places(before: str, after: str) -> Class | None:
    """Compare lists of who may: more of them are weaker, and an empty list means everybody."""
    if NONE in (before, after):
        return _by_cover(before == NONE, after == NONE)
    return more_of_them(before, after)


def _hosts(value: str) -> frozenset[tuple[str, str]]:
    named = (part.partition(": ") for part in value.split("; ")) if value not in (UNSET, NONE) else ()
    return frozenset((namespace, host) for namespace, _, hosts in named for host in hosts.split(", "))


def _hosts_within(narrow: frozenset[tuple[str, str]], wide: frozenset[tuple[str, str]]) -> bool:
    return all(any(space == other and host_covers(high, low) for other, high in wide) for space, low in narrow)


def hosts_by_namespace(before: str, after: str) -> Class | None:
    """Compare the hosts of namespaces: more of them, and a wildcard above them, are weaker."""
    old, new = _hosts(before), _hosts(after)
    return _by_cover(_hosts_within(new, old), _hosts_within(old, new))


def _accesses(value: str) -> frozenset[tuple[str, str]]:
    named = [part.split(": ") for part in value.split("; ")] if value not in (UNSET, NONE) else []
    return frozenset((volume, may) for volume, access in named for may in {"read", access})


def shared_volumes(before: str, after: str) -> Class | None:
    """Compare what a job may do with volumes of its service: more of them, and to write one, are weaker."""
    old, new = _accesses(before), _accesses(after)
    return _by_cover(new <= old, old <= new)


def longer_is_weaker(before: str, after: str) -> Class | None:
    """Compare two times such as `5m`: the longer one is weaker."""
    try:
        return more_is_weaker(str(seconds(before)), str(seconds(after)))
    except (KeyError, ValueError):
        return None


def bounded(before: str, after: str) -> Class | None:
    """Compare limits that a file may switch off by `none`: a higher one is weaker, and none is the weakest."""
    if NONE in (before, after):
        return _by_cover(before == NONE, after == NONE)
    return more_is_weaker(before, after)


def _reasoned(before: str, after: str) -> Class | None:
    """Compare reasons for doing without a control: with one it is off, and the words do not matter."""
    if UNSET in (before, after):
        return _by_cover(after == UNSET, before == UNSET)
    return Class.NEUTRAL


def until(before: str, after: str) -> Class | None:
    """Compare the last days of something that is agreed on; without a day it is not."""
    return more_of_them(before, after) if UNSET in (before, after) else later_is_weaker(before, after)


def _set(section: str, compare: Comparison, reason: str, *keys: str) -> dict[str, Direction]:
    names = (f"{section}.{key}" if section else key for key in keys)
    return {name: Direction("", compare, reason, UNSET) for name in names}


_INSIDE = "what its program makes of it is not in a plan: read its diff"
_ROOM = "how much room there is, and where, is the cluster's matter"
_LOGIN = "who holds that identity is the deployer, and may do everything"
_ANSWERS = "a page of another origin may do more with the answers of the service"
_TIMES = "when something is given up or asked again decides nothing about what it may do"
_WHICH_POD = "which of its pods answers decides nothing about what they may do"
_NAMES = "what it is called decides nothing about what it may do"
_DEFAULT = "every public service without a value of its own has it"
_FIRST = "Vault changes the first password as soon as it is connected, or has to have it to connect"
_COPIES = "without a copy that is new enough, what Vault holds is lost with its storage"
_CONFIGURED = "what the chart makes of it is in the package's objects, which have a line of their own"
_TIMEOUTS = tuple(f"{kind}.timeoutSeconds" for kind in ("readiness", "liveness", "startup"))
_USERS = "whoever takes over the service has the tokens of its users"
_LINES = "what it opens has lines of its own"
_OFF_FIRST = scale(NONE, UNSET)

_STACK: Mapping[str, Direction] = MappingProxyType(
    {
        **_set("kyverno.widened.*", until, "a critical rule lets more through until then", "expires"),
        **_set("vault", unknown, TRUST, "address", "serviceAccountAnnotations", "tlsSecret", "authorities"),
        **_set(
            "",
            unknown,
            TRUST,
            "kyverno.namespace",
            "mesh.namespace",
            "mesh.rootNamespace",
            "ingress.certManager.namespace",
        ),
        **_set("", unknown, TRUST, "vault.externalSecrets.namespace"),
        **_set("vault", neutral, "a label gives nothing by itself: the annotation names the identity", "podLabels"),
        **_set("vault.login", unknown, _LOGIN, "certFile", "keyFile"),
        **_set("vault.bootstrap.login.cert", unknown, _LOGIN, "caCertFile", "commonName"),
        **_set("vault.bootstrap.login.jwt", unknown, _LOGIN, "issuer", "issuerCaCertFile", "audience", "subject"),
        **_set("vault.bootstrap.login.kubernetes", unknown, _LOGIN, "namespace", "serviceAccount"),
        **_set("vault.bootstrap", unknown, "more shares are more holders, and fewer are lost sooner", "recoveryShares"),
        **_set("vault.bootstrap", more_is_stronger, "so many holders together are root", "recoveryThreshold"),
        **_set("vault.bootstrap", unknown, TRUST, "pgpKeys"),
        **_set(
            "vault.bootstrap",
            _reasoned,
            "whoever can decrypt the stack's state then has every recovery key",
            "plainKeysReason",
        ),
        **_set("vault", networks, "whoever may connect can try to log in, or to exhaust it", "clientCidrs"),
        **_set("vault", unknown, "without an injector of anybody no pod gets its secrets", "injector"),
        **_set("vault.seal", unknown, TRUST, "transit.tokenSecret", "static.keySecret"),
        **_set("vault.storage", neutral, _ROOM, "data", "audit", "storageClass"),
        **_set("vault.snapshots", neutral, _ROOM, "size", "storageClass"),
        **_set("vault.snapshots", unknown, _COPIES, "schedule"),
        **_set("vault.snapshots", more_is_stronger, _COPIES, "keep"),
        **_set("vault.snapshots", _reasoned, _COPIES, "offReason"),
        **_set("vault.snapshots", unknown, TRUST, "image"),
        **_set("vault.secrets", longer_is_weaker, "a secret that was rotated is used until then", "refresh"),
        **_set("vault.pki", unknown, TRUST, "commonName", "nextCommonName", "certificateFile"),
        **_set("vault.pki", more_of_them, "whoever may ask for a certificate can be that host", "domains"),
        **_set("vault.pki", more_is_weaker, "a stolen certificate works until then", "maxTtlHours"),
        **_set("databases.*", unknown, TRUST, "service", "authorityFile"),
        **_set("databases.*", named_networks, "every service with a user there may reach all of them", "cidrs"),
        **_set("databases.*", neutral, _FIRST, "adminPasswordFile", "adminSecret", "adminFrom", "adminPasswordVersion"),
        **_set("databases.*", neutral, "how many connections Vault keeps decides nothing", "maxOpenConnections"),
        **_set("charts", unknown, TRUST, "repositories", "digests", "gatewayApi", "directory"),
        **_set("kyverno", more_is_stronger, "a rule denies once so many keep to it", "promotionThreshold"),
        **_set("mesh", neutral, "where nodes keep network plugins decides nothing about what holds", "platform"),
        **_set("mesh", neutral, "when one more is started decides nothing about what holds", "autoscaling.cpu"),
        **_set("mesh.scraper", unknown, TRUST, "namespace", "serviceAccount"),
        **_set("ingress", unknown, TRUST, "className", "acmeServer.caBundleFile", "ca.keyPair"),
        **_set("ingress.vault", unknown, TRUST, "authMount", "authRole", "caBundleFile"),
        **_set("ingress", neutral, "each host that follows from it has lines of its own", "domain"),
        **_set("ingress", neutral, "an authority writes there when a certificate ends", "acmeEmail"),
        **_set("ingress", _OFF_FIRST, "without it a browser can be led to plaintext", "hsts"),
        **_set("ingress.hsts", more_is_stronger, "a browser keeps to TLS until then", "maxAge"),
        **_set("ingress.hsts", scale("false", "true"), "a host below it can be led to plaintext", "includeSubdomains"),
        **_set("ingress.hsts", scale("false", "true"), "the first visit can be led to plaintext", "preload"),
        **_set("ingress", unknown, _DEFAULT, "headers"),
        **_set("ingress", _OFF_FIRST, _DEFAULT, "rateLimit"),
        **_set("ingress.rateLimit", more_is_weaker, _DEFAULT, "requests"),
        **_set("ingress.rateLimit", scale("second", "minute", "hour"), _DEFAULT, "per"),
        **_set("ingress", bounded, _DEFAULT, "maxRequestBytes"),
        **_set("ingress", unknown, "the gateway may send there whatever it holds", "waf.cidrs"),
        **_set("ingress.annotations", unknown, _DEFAULT, "headers", "rateLimit", "maxRequestBytes", "tls", "waf"),
        **_set("ingress", hosts_by_namespace, "whoever writes objects there can have such hosts", "hosts"),
        **_set("services", more_is_stronger, "the fewer there are, the sooner a service is down", "replicas"),
        **_set(
            "placement.*",
            unknown,
            "which other pods those nodes run is not in a plan",
            "nodeSelector",
            "tolerations[].key",
            "tolerations[].value",
            "tolerations[].effect",
            "priorityClass",
            "runtimeClass",
            "resources",
            "spread",
        ),
        **_set("placement.*", places, "who may choose the class runs beside what those nodes run", "namespaces"),
        **_set("", networks, "the platform's own pods reach all of it", "apiServerCidrs"),
        **_set("", more_of_them, "the platform's own pods reach each of them", "apiServerPorts"),
        **_set("", networks, "whoever may connect can send a webhook what the API server would", "webhookCidrs"),
        **_set("", fewer_of_them, "no file and no network policy opens what is listed", "metadataCidrs"),
        **_set("dns", more_of_them, "data can leave by the names that are asked for", "allow"),
    }
)
_SERVICE: Mapping[str, Direction] = MappingProxyType(
    {
        **_set("ports.*", neutral, "policies hold by identity and port, whatever is spoken there", "port", "protocol"),
        **_set(
            "", neutral, _WHICH_POD, *(f"{of}sticky.{key}" for of in ("", "ports.*.") for key in ("cookie", "header"))
        ),
        **_set("paths[]", neutral, _TIMES, "retries.backoff", "cors.maxAge"),
        **_set("paths[].cors", more_of_them, _ANSWERS, "methods", "headers", "exposeHeaders"),
        **_set("ports.*.paths[]", neutral, _TIMES, "retries.backoff", "cors.maxAge"),
        **_set("ports.*.paths[].cors", more_of_them, _ANSWERS, "methods", "headers", "exposeHeaders"),
        **_set("", scale("true", "false"), _USERS, "jwt.forwardToken", "jwt[].forwardToken"),
        **_set("", unknown, TRUST, "jwt.jwks", "jwt[].jwks"),
        **_set("secrets.*", neutral, _INSIDE, "values", "generate", "external", "template", "file", "replaces"),
        **_set("database", neutral, _INSIDE, "file", "template", "files"),
        **_set("databases.*", neutral, _INSIDE, "file", "template", "files"),
        **_set("", neutral, _INSIDE, "secretEnv.shell", "caBundle.path", "sidecars.*.port"),
        **_set("probes", neutral, _TIMES, *_TIMEOUTS),
        **_set("sidecars.*.probes", neutral, _TIMES, *_TIMEOUTS),
        **_set("run", neutral, _TIMES, "schedule", "retries", "timeout"),
        **_set("jobs.*", neutral, _TIMES, "retries", "timeout"),
        **_set("jobs.*", neutral, _INSIDE, "command", "args"),
        **_set(
            "jobs.*.resources",
            neutral,
            "what it may use is bounded before and after",
            *(f"{kind}.{each}" for kind in ("requests", "limits") for each in ("cpu", "memory", "ephemeralStorage")),
        ),
        **_set("volumes.*", neutral, _LINES, "accessMode"),
        **_set("jobs.*.ownVolumes.*", neutral, _LINES, "accessMode"),
        **_set("jobs.*", shared_volumes, "its program reads, or changes, what the service keeps there", "volumes"),
        **_set("", neutral, _NAMES, "component", "costCenter"),
        **_set("", neutral, "when a replica starts decides nothing about what it may do", "startInOrder"),
        **_set("scratch.*", neutral, "what it may hold is bounded before and after", "memory"),
        **_set(
            "", neutral, "what is public, and what can be read, has lines of its own", "hostOwner", "secrets.*.from"
        ),
    }
)
_PACKAGE: Mapping[str, Direction] = MappingProxyType(
    {
        **_set("chart", unknown, TRUST, "name", "repository"),
        **_set("chart", neutral, _CONFIGURED, "version", "digest", "kubernetes", "apis"),
        **_set("without[]", unknown, "what a chart brings for its own safety may be left out, too", "kind", "name"),
        **_set("expose[]", neutral, "policies hold by identity and port, whatever is spoken there", "name", "protocol"),
        **_set("secrets.*", neutral, _INSIDE, "values", "generate", "external", "template", "file", "replaces"),
    }
)


def _with_defaults(file: str, directions: Mapping[str, Direction]) -> Mapping[str, Direction]:
    """The directions with what a key means in a section that is not there: its default, or unset."""
    known = defaults_of(file)
    return MappingProxyType({key: replace(each, default=known.get(key, UNSET)) for key, each in directions.items()})


FILE_KEYS: Mapping[str, Mapping[str, Direction]] = MappingProxyType(
    {
        "stack": _with_defaults("stack", _STACK),
        "service": _with_defaults("service", _SERVICE),
        "package": _with_defaults("package", _PACKAGE),
    }
)
"""The direction of each key, by the kind of file."""
