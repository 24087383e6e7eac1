"""Attack 12: read what is secret in the platform's namespaces, or pass for a part of the platform."""

from components.kube.names import GATEWAY_NAMESPACE, VAULT_NAMESPACE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, not_measured
from zt.attack.faults import first_container, without_probes
from zt.attack.kubernetes_api import by_answer
from zt.attack.namespace.requests import Request, own_pod, path_of, pods_path, targets, tries, tries_pods
from zt.attack.session import Session
from zt.cluster.manifest import containers, part, parts

PROXY_USER = 1337
"""The user and the group that the mesh lets pass by: its own proxy runs so."""
_FOREIGN = "docker.io/attacker/tools:v1"


def _platform(session: Session) -> tuple[str, ...]:
    layers = session.declared.layers
    return tuple(
        dict.fromkeys(
            (layers.mesh, layers.mesh_root, layers.kyverno, VAULT_NAMESPACE, layers.cert_manager, GATEWAY_NAMESPACE)
        )
    )


def _platform_secrets(session: Session) -> list[Request]:
    """Lists, and one Secret of each namespace by its name: a right to a name is no right to the list."""
    requests: list[Request] = []
    for namespace in _platform(session):
        collection = path_of("v1", "secrets", namespace)
        requests.append(Request("GET", collection))
        names = [item["metadata"]["name"] for item in session.admin.listed(collection)]
        requests += [Request("GET", f"{collection}/{name}") for name in names]
    return requests


def _secrets_elsewhere(session: Session) -> list[Request]:
    others = [
        name for name in sorted(session.namespaces) if name not in (*_platform(session), session.service.namespace)
    ]
    return [Request("GET", path_of("v1", "secrets", namespace)) for namespace in (*others, "")]


def _as_proxy(session: Session) -> list[Request]:
    """Each field that says as whom a container runs. What such a process sends is not led through the mesh."""
    requests: list[Request] = []
    for key in ("runAsUser", "runAsGroup"):
        of_pod, of_container, of_init = (own_pod(session) for _ in range(3))
        of_pod["spec"]["securityContext"][key] = PROXY_USER
        first_container(of_container)["securityContext"][key] = PROXY_USER
        first = without_probes(first_container(of_init), name="first")
        first["securityContext"][key] = PROXY_USER
        of_init["spec"]["initContainers"] = [first]
        requests += [Request("POST", pods_path(session), body) for body in (of_pod, of_container, of_init)]
    return requests


def _platform_images(session: Session) -> list[Request]:
    """The images that injection adds to the services' pods, with a program of the member's and with another tag."""
    own = {spec.image for spec in session.declared.services}
    injected = {
        (container["name"], container["image"])
        for spec in targets(session)
        for pod in session.pods_of(spec)[:1]
        for container in containers(pod)
        if container["image"] not in own
    }
    requests: list[Request] = []
    for name, image in sorted(injected):
        for change in ({"command": ["sh", "-c", "id"]}, {"image": f"{_untagged(image)}:attacker"}):
            body = own_pod(session)
            first_container(body).update({"name": name, "image": image, **change})
            requests.append(Request("POST", pods_path(session), body))
    return requests


def _untagged(image: str) -> str:
    path, slash, last = image.partition("@")[0].rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"


def _image_volume(session: Session) -> Evidence:
    body = own_pod(session)
    body["spec"]["volumes"] = [{"name": "tools", "image": {"reference": _FOREIGN}}]
    answer = session.member.call("POST", pods_path(session), body, dry_run=True)
    volumes = parts(answer.body, "spec", "volumes")
    if answer.ok and not any(part(volume, "image") for volume in volumes):
        return not_measured("the API server drops volumes of an image: the cluster does not have them")
    return by_answer(answer, f"a pod with a volume of {_FOREIGN}")


_ROLE = Control("identity", "the built-in roles: rights in one namespace")


def _rule(name: str) -> Control:
    return Control("critical", "KyvernoPolicySet", (name,))


ATTEMPTS = (
    Attempt(
        "platform-secrets",
        12,
        "Read the Secrets of the platform: the mesh's root, certificates, Vault's.",
        _ROLE,
        tries(_platform_secrets),
    ),
    Attempt("secrets-elsewhere", 12, "Read those of every other namespace.", _ROLE, tries(_secrets_elsewhere)),
    Attempt(
        "proxy-user",
        12,
        "Create a pod that runs as the mesh's proxy, past which nothing is led.",
        _rule("disallow-proxy-user"),
        tries_pods(_as_proxy),
    ),
    Attempt(
        "platform-image",
        12,
        "Create a pod of an image of the platform with another command, and with another tag.",
        _rule("restrict-image-registries"),
        tries_pods(_platform_images, "no pod of a service of the namespace has a container of the platform"),
    ),
    Attempt(
        "image-volume",
        12,
        "Mount an image of a registry that is not approved.",
        _rule("restrict-image-registries"),
        _image_volume,
    ),
)
