"""The direction of each kind of difference, with the reason for it.

A difference without a direction here counts as weaker, and says so, so that somebody looks at it.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from components.config.action import Action
from components.config.posture import SCALE
from components.kube.names import OWN_LAYERS
from zt.changes.comparisons import (
    Class,
    came,
    day,
    either,
    host_namespaces,
    image,
    later_is_weaker,
    limit,
    more_is_stronger,
    more_is_weaker,
    neutral,
    not_root,
    scale,
    seal,
    switched,
    token_claims,
    unknown,
)
from zt.changes.direction import TRUST, Direction, Gain
from zt.changes.file_keys import FILE_KEYS
from zt.changes.rule_parameters import LISTS, PARAMETERS
from zt.facts.file_keys import FileKey
from zt.facts.layers import IMAGES, LAYERS, NAMESPACES, OWN_REGISTRY
from zt.facts.model import DatabaseSetting, Grant, PlatformSetting, ServiceSetting, Setting
from zt.facts.rules import RuleItem, RuleParameter

_ACTIONS = (*Action, "on")

ACTION = Direction(
    "", scale(*_ACTIONS), "a rule that denies stops a violation, one that warns or audits only tells of it", "off"
)
RULE_TEXT = Direction("", unknown, "what a rule's text lets through cannot be computed: read its diff")
MOVED = Direction("", neutral, "what the rule does is what holds, and that is the same")
# No day (empty) sorts before every day.
EXEMPTION = Direction("", later_is_weaker, "the rule does not hold for the service until that day", "")
EXCLUSION = Direction("", later_is_weaker, "what is created there is neither refused nor reported until that day", "")
API_EXCEPTION = Direction("", later_is_weaker, "whoever takes over the service has it, and what it leads to", "")
POD_PATCH = Direction("", later_is_weaker, "what it makes of the pods is beside what the platform knows of them", "")
SECRET_IN_ENVIRONMENT = Direction(
    "", later_is_weaker, "its children, its crash reports and whoever is its user see what a program has there", ""
)
GRANTED = Direction("", later_is_weaker, "whoever writes the chart has what it reaches until that day", "")
CLEAR_TEXT = Direction("", later_is_weaker, "without a certificate a caller is known by its address alone", "")
_BY_KIND: Mapping[str, Direction] = MappingProxyType(
    {
        "rule-action": ACTION,
        "rule-text": RULE_TEXT,
        "exemption": EXEMPTION,
        "exclusion": EXCLUSION,
        "api-exception": API_EXCEPTION,
        "clear-text": CLEAR_TEXT,
        "granted": GRANTED,
        "pod-patch": POD_PATCH,
        "secret-in-environment": SECRET_IN_ENVIRONMENT,
    }
)
UNLISTED = Direction("", unknown, "zt/changes/directions.py has no direction for it")

GRANTS: Mapping[str, Gain] = MappingProxyType(
    {
        "reach": Gain(Class.WEAKER, "whoever takes over the caller can attack what it may reach"),
        "consent": Gain(Class.WEAKER, "from then on the other one's own file opens it"),
        "egress": Gain(Class.WEAKER, "data can leave by every connection that is open"),
        "outside-host": Gain(Class.WEAKER, "data can leave by every connection that is open"),
        "public": Gain(Class.WEAKER, "everybody on the internet can send requests to it"),
        "without-token": Gain(Class.WEAKER, "everybody on the internet can send requests there"),
        "cross-origin": Gain(Class.WEAKER, "a page that its visitor has open there reads what the answers hold"),
        "vault-access": Gain(Class.WEAKER, "whoever takes over the service has what it can access"),
        "database-right": Gain(Class.WEAKER, "whoever takes over the service has its rights in the database"),
        "database-owner": Gain(Class.WEAKER, "whoever takes over the job can drop what the service keeps there"),
        "audit-device": Gain(
            Class.STRONGER, "Vault answers nothing that it could not log, and a second log proves the first"
        ),
        "api-right": Gain(Class.WEAKER, "whoever takes over the service has its rights on the cluster"),
        "api-token": Gain(Class.WEAKER, "a token in a pod can be stolen"),
        "writable": Gain(Class.WEAKER, "a place to leave a program in, which a read-only file system denies"),
        "kept": Gain(Class.WEAKER, "a place to leave a program in that is still there when its pod is not"),
        "service-job": Gain(Class.NEUTRAL, "what the job may do has lines of its own"),
        "service-container": Gain(Class.WEAKER, "its program runs with the identity and the network of the service"),
        "registry": Gain(Class.WEAKER, "whoever may push there can run code here"),
        "signer": Gain(Class.WEAKER, "one more holder of a key or an identity can let code in"),
        "team-grant": Gain(Class.WEAKER, "the team does it without asking, and whoever takes over its deployer"),
        "unjudged": Gain(Class.WEAKER, "what is created there is neither refused nor reported"),
        "service": Gain(Class.NEUTRAL, "what the service may do has lines of its own"),
    }
)

_FALLS = "the fewer there are, the sooner the control is down"

_OTHERS = "what others installed they can change and remove"

_VERSIONS = "whoever can read a secret can read its versions; they only help to go back"

NETWORK_POLICIES = Direction(
    "the network policy of every service",
    scale(*SCALE["network_policies"]),
    "without them every pod reaches every other one",
)

PLATFORM: Mapping[str, Direction] = MappingProxyType(
    {
        "environment": Direction(
            "the environment",
            scale("local", "dev", "staging", "production"),
            "each row of the posture table holds the controls of the one below it",
        ),
        "vault": Direction("Vault", scale(*SCALE["vault"]), "without Vault secrets are in Kubernetes, in plaintext"),
        "vault-replicas": Direction("the number of Vault replicas", more_is_stronger, _FALLS),
        "vault-place": Direction("the place of Vault", unknown, TRUST),
        "vault-distribution": Direction(
            "the distribution of Vault", neutral, "both keep secrets alike, behind the same API"
        ),
        "vault-seal": Direction("the seal of Vault", seal, f"a static key lies beside its data; otherwise {TRUST}"),
        "vault-seal-key": Direction("the seal key of Vault", unknown, TRUST),
        "vault-login": Direction(
            "the deployer's login to Vault",
            scale("environment", "token", "cert"),
            "a token of the environment can be copied, a pipeline's ends soon, a certificate's key stays where it is",
        ),
        "vault-login-role": Direction("the deployer's role in Vault", unknown, TRUST),
        "vault-authority": Direction("the authority behind Vault's certificate", unknown, TRUST),
        "vault-reviewer": Direction("the API server that reviews tokens for Vault", unknown, TRUST),
        "vault-kept-versions": Direction("the number of versions that Vault keeps of a secret", neutral, _VERSIONS),
        "vault-delete-after": Direction("the age in seconds at which Vault deletes a version", neutral, _VERSIONS),
        "vault-check-and-set": Direction(
            "check-and-set for Vault's secrets",
            scale("off", "on"),
            "without it a write can undo another one that it did not see",
        ),
        "vault-retained": Direction(
            "keeping Vault's data on destroy", scale("off", "on"), "what is not kept is gone with one command"
        ),
        "injection": Direction(
            "the injection of secrets",
            scale(*SCALE["injection"]),
            "without it the application holds the token that opens its secrets",
        ),
        "injection-failure": Direction(
            "the injector's webhook",
            scale("fails open", "fails closed"),
            "one that fails open lets a pod start without its agent",
        ),
        "mtls": Direction("mTLS", scale(*SCALE["mtls"]), "only STRICT refuses a connection without an identity"),
        "authorization": Direction(
            "authorization by identity", scale(*SCALE["authorization"]), "a dry run denies nothing"
        ),
        "network-policies": NETWORK_POLICIES,
        "trust-domain": Direction("the trust domain", unknown, TRUST),
        "issuer": Direction(
            "the TLS issuer", scale(*SCALE["issuer"]), "a client can tell a trusted certificate from a forged one"
        ),
        "gateway-kind": Direction(
            "the kind of gateway",
            scale("ingress", "gateway-api"),
            "an ingress controller is admitted by its whole namespace, a Gateway by its own pods",
        ),
        "acme-server": Direction("the server that issues certificates", unknown, TRUST),
        "vault-issuer": Direction("the issuer in Vault", unknown, TRUST),
        "tls-version": Direction(
            "the lowest TLS version", scale("1.2", "1.3"), "1.3 has no cipher that a client could be talked into"
        ),
        "tls-ciphers": Direction(
            "the ciphers of TLS 1.2", neutral, "each one that is legal has forward secrecy and authenticates its data"
        ),
        "firewall": Direction("the firewall at the gateway", switched, "what its rules let through is not in a plan"),
        "gateway-identity": Direction("the identity of the gateway", unknown, TRUST),
        "kyverno-replicas": Direction("the number of Kyverno replicas", more_is_stronger, _FALLS),
        "mesh-replicas": Direction("the number of istiod replicas", more_is_stronger, _FALLS),
        "mesh-replicas-maximum": Direction("the most istiods under load", more_is_stronger, _FALLS, "1"),
        "mesh-revision": Direction(
            "the revision of the mesh",
            neutral,
            "another control plane holds the same rules; its version is no part of it",
        ),
        "data-plane": Direction(
            "the data plane of the mesh",
            scale("ambient", "sidecar"),
            "a node's proxy judges identity and port alone, and closes no egress",
            "sidecar",
        ),
        "mesh-spans": Direction("the place of the mesh's spans", unknown, f"spans tell who calls what; {TRUST}"),
        "proxy-scope": Direction(
            "what the proxy of a service knows",
            scale("the whole mesh", "what the service declares"),
            "whoever takes over a service can look for others, and use what they declare",
        ),
        **{
            f"{name}-images": Direction(f"the source of the images of {layer}", unknown, TRUST, OWN_REGISTRY)
            for name, layer in IMAGES.items()
        },
        "cert-manager-replicas": Direction("the number of cert-manager replicas", more_is_stronger, _FALLS),
        **{
            f"{name}-by": Direction(f"who installed {layer}", scale("others", "the program"), _OTHERS, "the program")
            for name, layer in LAYERS.items()
        },
        **{
            f"{name}-namespace": Direction(
                f"the namespace of {LAYERS.get(name, 'the mesh-wide rules')}",
                unknown,
                TRUST,
                getattr(OWN_LAYERS, field),
            )
            for name, field in NAMESPACES.items()
        },
        "imported-namespaces": Direction(
            "the namespaces that are imported",
            neutral,
            "zt adopt says what lives there: it becomes the stack's",
            "none",
        ),
        "mesh-other-namespaces": Direction(
            "the namespaces of others in the mesh", neutral, "its rules hold there too, and their owners agreed", "none"
        ),
        "service-identities": Direction(
            "the policy on service accounts",
            scale(*_ACTIONS),
            "whoever may create pods in a namespace could run one as any service of it",
        ),
        "exception-day": Direction(
            "the day that exceptions are judged on", day, "an exception outlives its end while the day is before it"
        ),
    }
)

# How every pod ended before a service file could say it.
_AT_ONCE = "SIGTERM after 0 s, SIGKILL after 30 s"
_FALLS_DOWN = "the fewer there are, the sooner the service is down"
_INSIDE = "what its program makes of it is not in a plan: read its diff"
_WORKLOAD = (
    ("scaling", "the autoscaling", "how many there are decides nothing about what each may do"),
    ("probes", "the probes", "they decide when it gets requests and when it starts again, not who may send them"),
    ("resources", "the resources", "what it may use is bounded before and after"),
    ("scratch", "the shared scratch space", "what it may hold is bounded before and after"),
    ("storage", "the storage", "how large a volume is, and of what class, is the cluster's matter"),
    ("command", "the command", _INSIDE),
    ("environment", "the environment", _INSIDE),
    ("configuration", "the configuration", _INSIDE),
    ("objects", "what the chart brings", _INSIDE),
    ("schedule", "the schedule of the jobs", "what each may do has lines of its own"),
)
_STOLEN = "stolen credentials work until then"
_HARDENED = "the restricted Pod Security Standard asks for it"

SERVICE: Mapping[str, Direction] = MappingProxyType(
    {
        "image": Direction(
            "the image",
            image,
            "what an image holds is not in a plan; a digest fixes it, a tag does not, a repository has its own author",
        ),
        **{name: Direction(label, neutral, reason) for name, label, reason in _WORKLOAD},
        "end": Direction(
            "the end of the pods", neutral, "how long a pod is there decides nothing about what it may do", _AT_ONCE
        ),
        "copies": Direction(
            "the list of directories that are copied from the image",
            neutral,
            "a place that it may write to has a line of its own",
            "none",
        ),
        "placement": Direction(
            "the placement", unknown, "which other pods those nodes run is not in a plan", "any node"
        ),
        "pull-secrets": Direction(
            "the Secret that images are pulled with", neutral, "it opens a registry, and is in no container", "none"
        ),
        "pods": Direction("the least number of pods", more_is_stronger, _FALLS_DOWN),
        "authorities": Direction("the source of the authorities that count", unknown, TRUST),
        "user": Direction(
            "the user id", not_root, "root in a container is one mistake away from root on the node", "1000"
        ),
        "team": Direction("the team", neutral, "who answers for it changes, and not what it may do"),
        "protocol": Direction("the protocol", neutral, "policies hold by identity and port, whatever is spoken there"),
        "public-scheme": Direction("the public address", scale("http", "https"), "plaintext can be read", "https"),
        "routes": Direction(
            "the patience of the gateway", neutral, "when it gives up or asks again decides nothing about who may ask"
        ),
        "gateway-requests": Direction(
            "the number of requests in an hour", limit, "what answers without a limit can be exhausted, or guessed at"
        ),
        "gateway-bytes": Direction("the largest request in bytes", limit, "a request without an end fills the memory"),
        "gateway-hsts": Direction(
            "the time in seconds that a browser keeps to TLS",
            more_is_stronger,
            "until it has seen the header, and after that time, it can be led to plaintext",
        ),
        "gateway-headers": Direction(
            "the headers at the gateway", unknown, "what a browser makes of each header is in no plan: read them"
        ),
        "gateway-annotations": Direction(
            "the annotations at the gateway",
            unknown,
            "what an ingress controller makes of them is in no plan: read them",
        ),
        "token": Direction(
            "the end user's token at the gateway",
            either,
            f"without one the service alone tells who asks; otherwise {TRUST}",
        ),
        "token-claims": Direction(
            "the set of claims asked for at the gateway",
            token_claims,
            "the fewer tokens are good enough, the better",
        ),
        "secrets": Direction(
            "the place of the secrets",
            scale("a Kubernetes Secret", "Vault"),
            "a Kubernetes Secret can be read by whoever may read the namespace",
            "Vault",
        ),
        "database": Direction("the database", unknown, TRUST),
        "database-ttl": Direction("the life in seconds without renewal of a database user", more_is_weaker, _STOLEN),
        "database-max-ttl": Direction("the longest life in seconds of a database user", more_is_weaker, _STOLEN),
        "runAsNonRoot": Direction("runAsNonRoot", scale("false", "true"), _HARDENED, "true"),
        "readOnlyRootFilesystem": Direction("readOnlyRootFilesystem", scale("false", "true"), _HARDENED, "true"),
        "allowPrivilegeEscalation": Direction("allowPrivilegeEscalation", scale("true", "false"), _HARDENED, "false"),
        "privileged": Direction("privileged", scale("true", "false"), _HARDENED, "false"),
        "host-namespaces": Direction(
            "what the pods share with their node", host_namespaces, "what runs there sees the node's own", "none"
        ),
        "capabilities": Direction("the capability drop", scale("none", "ALL"), _HARDENED, "ALL"),
        "seccomp": Direction("the seccomp profile", scale("Unconfined", "RuntimeDefault"), _HARDENED, "RuntimeDefault"),
    }
)

DATABASE: Mapping[str, Direction] = MappingProxyType(
    {
        "engine": Direction("the engine", unknown, TRUST, "postgresql"),
        "place": Direction("the place", came, TRUST, "off"),
        "administrator": Direction("the administrator", unknown, TRUST),
        "tls": Direction("TLS to the server", scale("off", "on"), "plaintext can be read", "on"),
        "authority": Direction("the authority behind the certificate", unknown, TRUST),
    }
)

UNLISTED_LIST = Gain(None, UNLISTED.reason)


def gain_of(grant: Grant) -> Gain:
    """What a new grant means."""
    if isinstance(grant, RuleItem):
        return LISTS.get(f"{grant.rule}.{grant.parameter}", UNLISTED_LIST)
    return GRANTS[grant.kind]


def direction_of(setting: Setting) -> Direction:
    """How the values of a setting compare."""
    match setting:
        case PlatformSetting():
            return PLATFORM.get(setting.name, replace(UNLISTED, label=setting.name))
        case ServiceSetting():
            name, _, which = setting.name.partition(":")
            found = SERVICE.get(name, replace(UNLISTED, label=name))
            return replace(found, label=f"{found.label} {which}") if which else found
        case DatabaseSetting():
            return DATABASE.get(setting.name, replace(UNLISTED, label=setting.name))
        case FileKey():
            return FILE_KEYS[setting.file].get(setting.pattern, UNLISTED)
        case RuleParameter():
            return PARAMETERS.get(f"{setting.rule}.{setting.parameter}", UNLISTED)
        case _:
            return _BY_KIND[setting.kind]
