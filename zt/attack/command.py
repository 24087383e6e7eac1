"""`zt attack`: what was asked for, the connections it needs, and the exit code."""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from components.policy_library import PolicyLibraryError
from components.service_files import Admission, read_services
from components.service_spec import ServiceSpec
from components.service_vault import TOKEN_AUDIENCE
from components.typed_file import ConfigError, Problem
from components.vault_operator import OPERATOR
from components.vault_values import NAMESPACE as VAULT_NAMESPACE
from zt.attack import kubernetes_api, vault_api
from zt.attack.evidence import StackError
from zt.attack.kubernetes_api import Kubernetes
from zt.attack.output import FORMATS, print_replay, summary
from zt.attack.replay import Replay, chosen, replay
from zt.attack.session import Declared, Session
from zt.attack.vault_api import Place, Vault
from zt.compliance_cluster import Access
from zt.stack_file import StackFile, project_library
from zt.vault_service import service_name

BAD_USAGE, UNREACHABLE = 2, 3


@dataclass(frozen=True)
class Options:
    """What was asked for. `access` says which cluster; without `vault_address` an embedded one's overlay does."""

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


@dataclass(frozen=True)
class Connections:
    """What a session needs of the outside. Whoever calls the command from a program may hand over others."""

    cluster: Callable[[Access], Kubernetes] = kubernetes_api.cluster
    vault: Callable[[Place], Vault] = vault_api.connect
    clock: Callable[[], float] = time.perf_counter


def run(options: Options, connections: Connections | None = None) -> int:
    """Replay the attacks, write the result, and return the exit code.

    0: nothing succeeded. 1: something did. 2: a wrong argument or file. 3: the stack cannot be reached.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        attempts = chosen(options.only)
        with session(options, connections or Connections()) as made, _progress(errors) as say:
            found = replay(made, attempts, say)
        _write(found, options, errors)
    except (ConfigError, PolicyLibraryError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return BAD_USAGE
    except StackError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return UNREACHABLE
    return found.exit_code


@contextmanager
def session(options: Options, connections: Connections) -> Generator[Session]:
    """A session against the stack; what it made is removed at its end. Raises `ConfigError` or `StackError`."""
    file = StackFile.read(options.project, options.stack)
    described = declared(options, file)
    place = _place(options) if described.posture.vault else None
    admin = connections.cluster(options.access)
    vault = connections.vault(place) if place else None
    operator = operator_token(admin, vault, described.auth_path) if vault else ""
    logs = _audit_logs(options, file)
    with Session(described, admin, vault, logs, operator, _istiod(options, file), connections.clock) as made:
        if vault and operator:
            made.afterwards(lambda: vault.call("POST", "auth/token/revoke-self", operator))
        yield made


def declared(options: Options, file: StackFile) -> Declared:
    """What the checkout says of the stack. Raises `ConfigError`."""
    posture = file.settings.decisions()
    if not (options.project / "services").is_dir():
        raise ConfigError(
            [Problem("zt attack", "--project", "there is no services/ in it", repr(str(options.project)))]
        )
    services = read_services(options.project / "services", Admission(registries=(), api_server_reachable=True))
    return Declared(
        options.stack,
        posture,
        file.settings.trust_domain,
        services,
        _service(options, services),
        _actions(file),
        frozenset(rule.name for rule in project_library(options.project).tier("important")),
    )


def _service(options: Options, services: tuple[ServiceSpec, ...]) -> ServiceSpec:
    wanted = service_name(options.project, options.service)
    for spec in services:
        if (spec.namespace, spec.name) == (wanted.namespace, wanted.name):
            return spec
    legal = tuple(f"{spec.namespace}/{spec.name}" for spec in services)
    raise ConfigError([Problem("zt attack", "--service", "no service file declares it", repr(options.service), legal)])


def _actions(file: StackFile) -> dict[str, str]:
    from components.kyverno_policy_set import action_of
    from components.plan import policy_args
    from components.policy_library import load_library
    from components.stack import Stack

    # Which services there are decides nothing about a rule.
    args = policy_args(Stack(file.name, file.settings, file.settings.decisions(), None, ()))
    return {name: action_of(rule, args).value for name, rule in load_library().rules.items()} if args else {}


def _place(options: Options) -> Place:
    if options.access.embedded:
        from components.settings_platform import Overlay
        from embedded.paths import State

        file = State().overlay
        here = Overlay.read(file).vault if file.is_file() else None
        if here is None:
            raise StackError(f"there is no {file}: start the control plane with `make up`")
        return Place(here.address, here.ca_cert_file or "", direct=True)
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
    """A token of who may revoke, the operator's, by its service account; empty where there is no such account."""
    path = f"/api/v1/namespaces/{VAULT_NAMESPACE}/serviceaccounts/{OPERATOR}/token"
    spec = {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = admin.call("POST", path, body)
    if answer.ok:
        login = vault.login(auth_path, OPERATOR, answer.body["status"]["token"])
        if login.ok:
            return str(login.auth["client_token"])
    return ""


def _audit_logs(options: Options, file: StackFile) -> tuple[Path, ...]:
    for log in options.audit_logs:
        if not log.is_file():
            raise ConfigError([Problem("zt attack", "--audit-log", "there is no such file", repr(str(log)))])
    if options.audit_logs or not options.access.embedded:
        return options.audit_logs
    from components.settings_platform import Overlay
    from embedded.paths import State

    state = State()
    if not state.overlay.is_file():
        return ()
    # A device writes on this host, at the path that the overlay makes of the stack file's, or to the server's output.
    paths = Overlay.read(state.overlay).place(file.settings.vault).audit_paths
    logs = (state.logs / "vault.log" if path == "stdout" else Path(path) for path in paths)
    return tuple(log for log in logs if log.is_file())


def _istiod(options: Options, file: StackFile) -> str:
    if options.istiod or not options.access.embedded:
        return options.istiod
    from embedded.paths import State
    from embedded.supervisor.ports import LOOPBACK, load_ports

    revision = file.settings.mesh.revision
    name = f"istiod-{revision}" if revision else "istiod"
    port = load_ports(State().ports).get(f"{name}.secure-grpc")
    return f"{LOOPBACK}:{port}" if port else ""


@contextmanager
def _progress(errors: Console) -> Generator[Callable[[str], None]]:
    if not errors.is_terminal:
        yield lambda _line: None
        return
    with errors.status("attacking") as status:
        yield status.update


def _write(found: Replay, options: Options, errors: Console) -> None:
    if options.output is None:
        if options.output_format == "text" and sys.stdout.isatty():
            print_replay(found, Console(highlight=False))
        else:
            sys.stdout.write(FORMATS[options.output_format](found))
        return
    try:
        options.output.write_text(FORMATS[options.output_format](found), encoding="utf-8")
    except OSError as error:
        problem = Problem("--output", str(options.output), f"cannot be written: {error.strerror}")
        raise ConfigError([problem]) from error
    errors.print(f"{summary(found)}; written to {options.output}", markup=False, soft_wrap=True)
