"""`zt attack`: its options, the connections it needs, and the exit code."""

import ipaddress
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.kube.names import OPERATOR, TOKEN_AUDIENCE, VAULT_NAMESPACE
from components.package.args import PackageArgs
from components.schema.problem import ConfigError, Problem
from components.service.file.service import ServiceSpec
from zt.attack import kubernetes_api, vault_api
from zt.attack.attacker import Attacker
from zt.attack.evidence import StackError
from zt.attack.kubernetes_api import Kubernetes, issued
from zt.attack.output import FORMATS, print_replay, summary
from zt.attack.replay import chosen, replay
from zt.attack.session import Declared, Session
from zt.attack.vault_api import Place, Vault
from zt.cluster.access import Access
from zt.project.console import plain_console
from zt.project.declared import declared_packages, declared_services
from zt.project.errors import tells_errors
from zt.project.progress import progress
from zt.project.result_file import write_result
from zt.project.service import service_name
from zt.project.stack_file import StackFile, project_library
from zt.project.tools import pinned_tool


@dataclass(frozen=True)
class Options:
    """The options. `access` names the cluster. Without `vault_address` the embedded overlay names the Vault."""

    stack: str
    project: Path
    access: Access
    service: str = "api"
    vault_address: str | None = None
    vault_ca: Path | None = None
    audit_logs: tuple[Path, ...] = ()
    istiod: str = ""
    only: tuple[str, ...] = ()
    output_format: str = "text"
    output: Path | None = None
    attacker: Attacker = Attacker.POD
    probe_image: str = ""
    internet: str = ""


@dataclass(frozen=True)
class Connections:
    """How a session reaches the cluster and Vault. A program that calls the command may pass others."""

    cluster: Callable[[Access], Kubernetes] = kubernetes_api.cluster
    vault: Callable[[Place], Vault] = vault_api.connect
    clock: Callable[[], float] = time.perf_counter


@tells_errors
def run(options: Options, connections: Connections | None = None) -> int:
    """Replay the attacks, write the result, and return the exit code.

    0: nothing succeeded. 1: something did. 2: a wrong argument or file. 3: the stack cannot be reached.
    """
    errors = plain_console(stderr=True)
    attempts = chosen(options.only, options.attacker)
    with session(options, connections or Connections()) as opened, progress(errors, "attacking") as say:
        result = replay(opened, attempts, say)
    write_result(result, options.output_format, options.output, FORMATS, print_replay)
    if options.output is not None:
        errors.print(f"{summary(result)}; written to {options.output}", soft_wrap=True)
    return result.exit_code


@contextmanager
def session(options: Options, connections: Connections) -> Generator[Session]:
    """A session against the stack. What it created is removed at its end. Raises `ConfigError` or `StackError`."""
    _check_internet(options.internet)
    file = StackFile.read(options.project, options.stack)
    described = declared(options, file)
    # Who has rights in a namespace has none in Vault: none of those attempts asks it.
    place = _place(options) if described.posture.vault and options.attacker is Attacker.POD else None
    admin = connections.cluster(options.access)
    vault = connections.vault(place) if place else None
    operator = operator_token(admin, vault, described.auth_path) if vault else ""
    logs = _audit_logs(options, file)
    istiod, kind, sends = _istiod(options, file), options.attacker, (options.probe_image, options.internet)
    with Session(described, admin, vault, logs, operator, istiod, connections.clock, kind, *sends) as opened:
        if vault and operator:
            opened.afterwards(lambda: vault.call("POST", "auth/token/revoke-self", operator))
        yield opened


def _check_internet(address: str) -> None:
    try:
        ipaddress.ip_address(address or "::")
    except ValueError as error:
        problem = Problem("zt attack", "--internet", "is no address: the rules know no names", repr(address))
        raise ConfigError([problem]) from error


def declared(options: Options, file: StackFile) -> Declared:
    """What the checkout says of the stack. Raises `ConfigError`."""
    posture = file.settings.decisions()
    services = declared_services(options.project)
    return Declared(
        options.stack,
        posture,
        file.settings.trust_domain,
        services,
        _service(options, services),
        _actions(file),
        frozenset(rule.name for rule in project_library(options.project).tier("important")),
        _packages(options, file),
        layers=file.settings.layers,
        metadata=file.settings.metadata_cidrs,
    )


def _service(options: Options, services: tuple[ServiceSpec, ...]) -> ServiceSpec:
    name = service_name(options.project, options.service)
    for spec in services:
        if (spec.namespace, spec.name) == (name.namespace, name.name):
            return spec
    legal = tuple(f"{spec.namespace}/{spec.name}" for spec in services)
    raise ConfigError([Problem("zt attack", "--service", "no service file declares it", repr(options.service), legal)])


def _packages(options: Options, file: StackFile) -> tuple[PackageArgs, ...]:
    """The packages with what their charts render. Raises `ConfigError` when one cannot be rendered."""
    if not declared_packages(options.project):
        return ()
    from components.program.plan import plan
    from components.program.stack import read_stack

    if options.access.embedded and shutil.which("helm") is None:
        os.environ["PATH"] = os.pathsep.join([str(pinned_tool("helm").parent), os.environ.get("PATH", os.defpath)])
    stack = read_stack(options.project, file.name, file.settings, line_of=file.line_of)
    return tuple(plan(stack).packages)


def _actions(file: StackFile) -> dict[str, str]:
    from components.kyverno.library import load_library
    from components.kyverno.policy_set import action_of
    from components.program.plans.kyverno import policy_args
    from components.program.stack import Stack

    # What a rule does on a stack does not depend on the services.
    args = policy_args(Stack(file.name, file.settings, file.settings.decisions(), (), file.line_of))
    return {name: action_of(rule, args).value for name, rule in load_library().rules.items()} if args else {}


def _place(options: Options) -> Place:
    if options.access.embedded:
        from embedded.access import EmbeddedPlane, EmbeddedPlaneError

        try:
            here = EmbeddedPlane().vault()
        except EmbeddedPlaneError as error:
            raise StackError(str(error)) from error
        return Place(here.address, str(here.ca_file), direct=True)
    address = options.vault_address or ""
    if not address.startswith("https://"):
        legal = ("https://vault.example.org:8200", "--embedded for this checkout's control plane")
        raise ConfigError([Problem("zt attack", "--vault-addr", "says where Vault is, over TLS", repr(address), legal)])
    if options.vault_ca and not options.vault_ca.is_file():
        raise ConfigError(
            [Problem("zt attack", "--vault-cacert", "there is no such file", repr(str(options.vault_ca)))]
        )
    namespace = os.environ.get("VAULT_NAMESPACE", "")
    return Place(address.rstrip("/"), str(options.vault_ca) if options.vault_ca else "", namespace)


def operator_token(admin: Kubernetes, vault: Vault, auth_path: str) -> str:
    """The operator's token, which may revoke others, by its service account. Empty without such an account."""
    path = f"/api/v1/namespaces/{VAULT_NAMESPACE}/serviceaccounts/{OPERATOR}/token"
    spec = {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = admin.call("POST", path, body)
    if answer.ok:
        jwt = issued(answer, f"{VAULT_NAMESPACE}/{OPERATOR}", admin.where)
        login = vault.login(auth_path, OPERATOR, jwt)
        if login.ok:
            return str(login.auth["client_token"])
    return ""


def _audit_logs(options: Options, file: StackFile) -> tuple[Path, ...]:
    for log in options.audit_logs:
        if not log.is_file():
            raise ConfigError([Problem("zt attack", "--audit-log", "there is no such file", repr(str(log)))])
    if options.audit_logs or not options.access.embedded:
        return options.audit_logs
    from embedded.access import EmbeddedPlane

    plane = EmbeddedPlane()
    logs = (plane.audit_log(path) for path in file.settings.vault.audit_paths)
    return tuple(log for log in logs if log.is_file())


def _istiod(options: Options, file: StackFile) -> str:
    if options.istiod or not options.access.embedded:
        return options.istiod
    from embedded.access import EmbeddedPlane

    return EmbeddedPlane().istiod(file.settings.mesh.revision)
