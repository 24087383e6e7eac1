"""Attacks 2 to 5 from a shell in the compromised container, as the model writes them, with what each command says."""

import base64
import json
import shlex
from collections.abc import Sequence

from components.kube.names import PLATFORM_CONTAINERS
from zt.attack.attempt import Attempt
from zt.attack.attempts_environment import secret_values
from zt.attack.attempts_vault import declared_paths, foreign_paths
from zt.attack.evidence import Control, Evidence, UntriedError, blocked, not_measured, succeeded, together
from zt.attack.exec_api import Container, Printed
from zt.attack.faults import CRYPTOMINER
from zt.attack.session import Run, Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import containers, parts, word

_SECONDS, _ASK_SECONDS = 30, 20.0
_OTHERS = 3
_NO_SUCH_PROGRAM = 127
_REFUSED = {
    "vault": {2},
    "kubectl": {1},
    "curl": {6, 7, 22, 28, 35, 52, 56},
}
"""The exit codes by which each program says that its request was refused or did not arrive. Any other one says
something of the program itself: https://everything.curl.dev/cmdline/exitcode.html and
https://developer.hashicorp.com/vault/docs/commands#exit-codes"""
_API_SERVER = "https://kubernetes.default.svc"
_CURL = f"curl -q -s -S -f -k --noproxy '*' -m {_SECONDS // 2}"


def _shell(session: Session) -> Container:
    """The first container of the service's pod that has a shell. Raises `UntriedError` when none has one."""
    why = "no pod of the service runs"
    for pod in session.pods_of(session.service)[:1]:
        for container in parts(pod, "spec", "containers"):
            if container["name"] in PLATFORM_CONTAINERS:
                continue
            place = Container(pod["metadata"]["namespace"], pod["metadata"]["name"], container["name"])
            printed = session.admin.execute(place, ("sh", "-c", ":"), _ASK_SECONDS)
            if not printed.refused and printed.code == 0:
                return place
            why = f"{place}: {printed.refused or 'it has no shell'}"
    raise UntriedError(why)


def _run(session: Session, command: str) -> Printed:
    return session.admin.execute(_shell(session), ("sh", "-c", command), _SECONDS)


def _environment(session: Session) -> Evidence:
    printed = _run(session, "env")
    if printed.refused or printed.code:
        return not_measured(f"$ env: {printed.refused or printed.text}")
    if any(value in printed.text for value in secret_values(session)):
        return succeeded("$ env: it shows a value of the service's secrets")
    # A value may be anything, so that names alone are shown.
    names = [line.partition("=")[0] for line in printed.text.splitlines() if "=" in line]
    return blocked(f"$ env: {len(names)} variables, none with a value of its secrets: {', '.join(sorted(names))}")


def _tries(session: Session, commands: Sequence[tuple[str, str]]) -> Evidence:
    """Each command as the model has it, or else the request that it makes, where the container has only curl."""
    return together([_refused(session, *command) for command in commands], "nothing was asked for")


def _refused(session: Session, command: str, request: str) -> Evidence:
    for line in (command, request):
        printed = _run(session, f"{line} </dev/null")
        if printed.refused:
            return not_measured(f"$ {line}: {printed.refused}")
        if printed.code == _NO_SUCH_PROGRAM:
            continue
        if not printed.code:
            # What it printed may be a secret.
            return succeeded(f"$ {line}: it ended with 0")
        if printed.code in _REFUSED[line.split()[0]]:
            return blocked(f"$ {line}: {printed.text}")
        return not_measured(f"$ {line}: it ended with {printed.code}: {printed.text}")
    return not_measured(f"$ {command}: the container has neither {command.split()[0]} nor curl")


def _vault(session: Session) -> Evidence:
    if session.vault is None:
        return not_measured("this stack has no Vault")
    if not (address := _address_of_vault(session)):
        return not_measured("no agent in the pod of the service says where Vault is")
    paths = [*declared_paths(session), *foreign_paths(session)][:_OTHERS]
    read = "vault read -tls-skip-verify"
    return _tries(
        session,
        [
            (f"{read} -address={shlex.quote(address)} {path}", f"{_CURL} {shlex.quote(f'{address}/v1/{path}')}")
            for path in paths
        ],
    )


def _address_of_vault(session: Session) -> str:
    """Where the agent beside the container finds Vault, by the configuration that the injector gave it.

    https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent#vault-stanza
    """
    for pod in session.pods_of(session.service)[:1]:
        for variable in (entry for container in containers(pod) for entry in parts(container, "env")):
            if variable["name"] == "VAULT_CONFIG":
                return word(json.loads(base64.b64decode(variable["value"])), "vault", "address")
    return ""


def _get(session: Session) -> Evidence:
    others = [name for name in sorted(session.namespaces) if name != session.service.namespace][:_OTHERS]
    return _tries(
        session,
        [
            (f"kubectl get pods --namespace {name}", f"{_CURL} {_API_SERVER}/api/v1/namespaces/{name}/pods")
            for name in others
        ],
    )


def _start(session: Session) -> Evidence:
    pods = f"{_API_SERVER}/api/v1/namespaces/{session.service.namespace}/pods?dryRun=All"
    run = f"kubectl run {NAME} --image={CRYPTOMINER} --dry-run=server"
    return _tries(session, [(run, f"{_CURL} -X POST {shlex.quote(pods)}")])


def _attempt(attack: int, name: str, tried: str, control: Control, run: Run) -> Attempt:
    return Attempt(name, attack, tried, control, run)


ATTEMPTS = (
    _attempt(
        2,
        "shell-env",
        "Run `env` in a container of {service}.",
        Control("vault", "SecureService: secrets in Vault, shown as files", ("disallow-secrets-in-environment",)),
        _environment,
    ),
    _attempt(
        3,
        "shell-vault-read",
        "Run `vault read` in a container of {service}.",
        Control("vault", "SecureService: the agent's token is in a container of its own"),
        _vault,
    ),
    _attempt(
        4,
        "shell-kubectl-get",
        "Run `kubectl get pods` for other namespaces in a container of {service}.",
        Control("identity", "SecureService: no token of the API server in the pod"),
        _get,
    ),
    _attempt(
        5,
        "shell-kubectl-run",
        "Run `kubectl run` with an image of nobody's in a container of {service}, as a dry run.",
        Control("identity", "SecureService: no token of the API server in the pod"),
        _start,
    ),
)
