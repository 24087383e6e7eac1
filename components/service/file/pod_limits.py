"""What the API server and the kubelet take of a pod as a whole, whichever keys of a service file it comes from."""

from components.schema.problem import UNREPEATED, Key
from components.schema.typed_file import misplaced
from components.service.file.containers import ContainerSpec
from components.service.file.jobs import JobSpec
from components.service.file.keys import ServiceKeys
from components.service.file.network import peers_name

# https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/api/validation/objectmeta.go: TotalAnnotationSizeLimitB
_ANNOTATIONS = 256 * 1024
# The platform's own, and those of each secret beside its template, names at their longest.
_PLATFORM, _EACH = 8 * 1024, 1024
# What etcd takes of an object, less the rest of it: https://etcd.io/docs/v3.5/dev-guide/limit/
_WORDS = 1_000_000
# A host name of Linux: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-sethostnameasfqdn-field
_LONGEST_HOST_NAME = 64
_CLUSTER_DOMAIN = "svc.cluster.local"
_LAST = "-99"


def check_annotations(keys: ServiceKeys) -> None:
    """Raise `PydanticCustomError` if the annotations of the pods are too long: those of `patch`, and all templates."""
    texts: dict[Key, int] = {
        ("secrets", name, "template"): len((secret.template or "").encode()) for name, secret in keys.secrets.items()
    }
    texts |= {
        (*keys.database_key(name), *key): len(text.encode())
        for name, database in keys.all_databases.items()
        for key, text in database.templates.items()
    }
    # Each sidecar that reads one has its template once more.
    for _, container in keys.containers:
        for name in container.secrets:
            texts[("secrets", name, "template")] += len((keys.secrets[name].template or "").encode())
        for name in container.credentials:
            for key, text in keys.all_databases[name].templates.items():
                texts[(*keys.database_key(name), *key)] += len(text.encode())
    written = keys.patch.annotations.items() if keys.patch else ()
    patched = {("patch", "annotations", key): len(f"{key}{value}".encode()) for key, value in written}
    known = _PLATFORM + _EACH * len(texts) + sum(texts.values()) + sum(patched.values())
    if known > _ANNOTATIONS:
        longest = max({**texts, **patched}.items(), key=lambda item: item[1])[0]
        message = (
            f"the templates and annotations of its pods have {known} bytes together, and a pod holds {_ANNOTATIONS}"
        )
        raise misplaced(longest, message, UNREPEATED)


def check_words(keys: ServiceKeys) -> None:
    """Raise `PydanticCustomError` if the programs of a pod have more arguments and variables than an object holds."""
    own = _words(keys)
    pod: dict[Key, int] = {(key,): size for key, size in own.items()}
    for place, container in keys.containers:
        pod |= {(*place, key): size for key, size in _words(container).items()}
    jobs = [
        {("env",): own["env"], **{("jobs", name, key): size for key, size in _words(job).items() if key != "env"}}
        for name, job in keys.jobs.items()
    ]
    for sizes in (pod, *jobs):
        if (size := sum(sizes.values())) > _WORDS:
            longest = max(sizes.items(), key=lambda item: item[1])[0]
            message = f"the arguments and variables of its pod have {size} bytes together, and an object holds {_WORDS}"
            raise misplaced(longest, f"{message}: keep the longest under config", UNREPEATED)


def _words(program: ServiceKeys | ContainerSpec | JobSpec) -> dict[str, int]:
    variables = {} if isinstance(program, JobSpec) else program.env
    return {
        "command": sum(len(word.encode()) for word in program.command),
        "args": sum(len(word.encode()) for word in program.args),
        "env": sum(len(f"{name}{value}".encode()) for name, value in variables.items()),
    }


def check_full_name(keys: ServiceKeys) -> None:
    """Raise `PydanticCustomError` if a pod would have a full name that is no host name."""
    wanted = keys.patch is not None and keys.patch.pod.set_hostname_as_fqdn
    if not wanted or not keys.stateful:
        return
    service = peers_name(keys.name) if keys.peers else keys.name
    full = f"{keys.name}{_LAST}.{service}.{keys.namespace}.{_CLUSTER_DOMAIN}"
    if len(full) > _LONGEST_HOST_NAME:
        message = f"{full} is longer than {_LONGEST_HOST_NAME} characters, so that no pod would start: leave it out"
        raise misplaced(["patch", "pod", "setHostnameAsFQDN"], message, keys.patch is not None)
