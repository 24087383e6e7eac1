"""The outcome of a new service file on a stack: objects, Vault paths and access, from the program's plan."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.kube.manifest import Manifest
from components.kyverno.library import load_library
from components.package.file.chart import FOLDER
from components.program.plan import plan
from components.program.stack import Stack
from components.schema.problem import ConfigError
from components.service.args.jobs import JobArgs, RunArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.file.jobs import job_name
from components.service.file.storage import claim_name, own_config_name
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.databases.statements import database_roles
from components.service.manifests.external_secrets import copies_exception
from components.service.manifests.job import workload_of, workloads_of
from components.service.manifests.network_policy import challenge_policy, mesh_objects
from components.service.manifests.peers import peers_service
from components.service.manifests.route import route_kind, route_name
from components.service.manifests.storage import config_name
from components.service.manifests.vault import copied, uses_vault
from components.service.manifests.workload import role_rules, service_spec, workload_kind
from zt.changes.compare import Change, changes
from zt.facts.model import Reach, Side
from zt.facts.read import facts_of, stack_of
from zt.project.consent import agreements, missing_in
from zt.project.declared import declared_packages
from zt.project.service import service_files
from zt.project.stack_file import stack_names


@dataclass(frozen=True)
class Item:
    """Something that is created: its kind, its name or path, and a note."""

    kind: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file. `closed` says that nobody may reach the service yet.

    `consents` are the new texts of the files of services that it calls and that do not agree to it yet.
    """

    file: str
    text: str
    stack: str
    service: str
    objects: Sequence[Item]
    vault: Sequence[Item]
    access: Sequence[Change]
    closed: bool
    consents: Mapping[str, str]


def outcome(project: Path, stack: str, file: str, text: str) -> Outcome:
    """Plan the stack without the file and with it. Raises `ConfigError` for what the program would refuse."""
    new = parse_service(text, file)
    others = [*service_files(project), *declared_packages(project)]
    asked = [row for row in missing_in([*others, new]) if row.file != file]
    consents = agreements(project, others, asked)
    before, after = stack_of(project, stack), _stack_with(project, stack, {**consents, file: text})
    for other in stack_names(project):
        if other != stack:
            _check_on(project, other, {**consents, file: text})
    spec = new.spec
    was, becomes = _side(before), _side(after)
    args = next(args for args in plan(after).services if (args.namespace, args.name) == (spec.namespace, spec.name))
    name = f"{spec.namespace}/{spec.name}"
    return Outcome(
        file=file,
        text=text,
        stack=stack,
        service=name,
        objects=tuple(objects(args, new_namespace=spec.namespace not in before.namespaces)),
        vault=tuple(vault_items(args)),
        access=changes(was, becomes),
        closed=not any(isinstance(fact, Reach) and fact.target == name for fact in becomes.facts) and not args.public,
        consents=consents,
    )


def _side(stack: Stack) -> Side:
    return Side(stack.settings.environment, frozenset(facts_of(stack, plan(stack), load_library())))


def _check_on(project: Path, stack: str, texts: Mapping[str, str]) -> None:
    """Raise `ConfigError` if a stack would refuse these files. One that is wrong without them is not theirs to mend."""
    try:
        stack_of(project, stack)
    except ConfigError:
        return
    try:
        _stack_with(project, stack, texts)
    except ConfigError as error:
        refused = (replace(each, message=f"on stack {stack}: {each.message}") for each in error.problems)
        raise ConfigError(refused) from error


def _stack_with(project: Path, stack: str, texts: Mapping[str, str]) -> Stack:
    """The stack as a run would read it with these files, which are written only into a temporary copy."""
    with tempfile.TemporaryDirectory(prefix="zt-new-") as temporary:
        copy = Path(temporary)
        for path in project.glob("Pulumi.*.yaml"):
            shutil.copyfile(path, copy / path.name)
        (copy / "services").mkdir()
        for path in (project / "services").glob("*.yaml"):
            shutil.copyfile(path, copy / "services" / path.name)
        if (packages := project / FOLDER).is_dir():
            shutil.copytree(packages, copy / FOLDER)
        for file, text in texts.items():
            (copy / file).write_text(text, encoding="utf-8")
        return stack_of(copy, stack)


def objects(args: SecureServiceArgs, new_namespace: bool) -> Iterator[Item]:
    """The Kubernetes objects of a service, in the order of `SecureService`. A unit test compares the two."""
    name, platform = f"{args.namespace}/{args.name}", args.platform
    if new_namespace:
        yield Item("Namespace", args.namespace, "new")
    yield Item("ServiceAccount", name, "no token mounted")
    yield from _rights(args, name)
    if args.secrets and not uses_vault(args):
        yield Item("Secret", name, "marked insecure: this stack has no Vault")
    yield from _copies(args)
    if platform.network_policies:
        yield from _network(args, name)
    if policy := authorization_policy(args):
        dry_run = "istio.io/dry-run" in policy["metadata"].get("annotations", {})
        yield Item("AuthorizationPolicy", name, "dry run" if dry_run else "")
    yield from (Item(manifest["kind"], _named(manifest)) for manifest in mesh_objects(args))
    yield from _storage(args)
    yield from _exceptions(args)
    for job in args.jobs:
        yield from _job(args, job)
    yield _run(name, args.run) if args.ends else _pods(args, name)
    yield from _services(args)
    scaling = args.autoscaling
    if args.smallest > 1:
        yield Item("PodDisruptionBudget", name)
    if scaling.maximum:
        yield Item("HorizontalPodAutoscaler", name, f"at {scaling.aim}")
    if args.public and platform.ingress.route == "ingress":
        yield Item("Ingress", name, ", ".join(args.hosts))
    for public in args.public_ports if platform.ingress.route == "gateway-api" else ():
        yield Item(route_kind(public), f"{args.namespace}/{route_name(args, public)}", public.hosts[0])


def _rights(args: SecureServiceArgs, name: str) -> Iterator[Item]:
    if role_rules(args):
        yield Item("Role", name)
        yield Item("RoleBinding", name)
    if role_rules(args, cluster_wide=True):
        yield Item("ClusterRole", args.key, "it reads in every namespace")
        yield Item("ClusterRoleBinding", args.key)


def _pods(args: SecureServiceArgs, name: str) -> Item:
    scaling = args.autoscaling
    count = f"{scaling.minimum} to {scaling.maximum}" if scaling.maximum else str(args.replicas)
    kept = "; ".join(f"{v.path}: {v.size} that each keeps" for v in args.replica_volumes)
    return Item(workload_kind(args), name, f"{count} x {args.image}" + (f"; {kept}" if kept else ""))


def _services(args: SecureServiceArgs) -> Iterator[Item]:
    if args.listens:
        ports = ", ".join(f"{port['port']}, {port['appProtocol']}" for port in service_spec(args)["ports"])
        yield Item("Service", f"{args.namespace}/{args.name}", f"port {ports}")
    if peers := peers_service(args):
        yield Item("Service", _named(peers), f"each replica by its own name, ports {', '.join(map(str, args.peers))}")


def _network(args: SecureServiceArgs, name: str) -> Iterator[Item]:
    yield Item("NetworkPolicy", name, "everything else is closed")
    if challenge := challenge_policy(args):
        yield Item("NetworkPolicy", _named(challenge), "the controller reaches the answer to an ACME challenge")


def _named(manifest: Manifest) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


def _exceptions(args: SecureServiceArgs) -> Iterator[Item]:
    yield from (Item("PolicyException", f"{args.platform.layers.kyverno}/{args.key}.{e.rule}") for e in args.exceptions)
    if exception := copies_exception(args):
        yield Item("PolicyException", _named(exception), "for the copies of its secrets alone")


def _copies(args: SecureServiceArgs) -> Iterator[Item]:
    if not (copied(args) and args.secrets):
        return
    name = f"{args.namespace}/{args.name}"
    yield Item("Role", f"{name}.external-secrets", "what the operator may do for it")
    yield Item("RoleBinding", f"{name}.external-secrets")
    yield Item("SecretStore", name, "its own role in Vault")
    for secret in args.secrets:
        yield Item("ExternalSecret", f"{name}.{secret.name}", "a copy in a Kubernetes Secret")


def _storage(args: SecureServiceArgs) -> Iterator[Item]:
    if args.config.path:
        files = ", ".join(sorted(args.config.files))
        yield Item("ConfigMap", f"{args.namespace}/{config_name(args.name)}", f"{args.config.path}: {files}")
    for each in args.containers:
        if each.config.path:
            files = ", ".join(sorted(each.config.files))
            yield Item(
                "ConfigMap",
                f"{args.namespace}/{own_config_name(args.name, each.name)}",
                f"{each.config.path} of {each.name}: {files}",
            )
    yield from _claims(args)


def _claims(args: SecureServiceArgs) -> Iterator[Item]:
    whose = "that each run has" if args.ends else "that all share"
    for volume in args.claimed_volumes:
        claim = f"{args.namespace}/{claim_name(args.name, volume.name)}"
        yield Item("PersistentVolumeClaim", claim, f"{volume.path}: {volume.size} {whose}")


def _job(args: SecureServiceArgs, job: JobArgs) -> Iterator[Item]:
    name = f"{args.namespace}/{job_name(args.name, job.name)}"
    yield Item("ServiceAccount", name, "no token mounted")
    workload = workload_of(args, job)
    yield from _copies(workload)
    yield from _claims(workload)
    if args.platform.network_policies:
        yield Item("NetworkPolicy", name, "everything else is closed")
    yield from (Item(manifest["kind"], _named(manifest)) for manifest in mesh_objects(workload))
    yield _run(name, job.run)


def _run(name: str, run: RunArgs) -> Item:
    if run.schedule:
        return Item("CronJob", name, f"at {run.schedule}, UTC")
    return Item("Job", name, "once for each change")


def vault_items(args: SecureServiceArgs) -> Iterator[Item]:
    """A service's policies, roles and paths in Vault. None on a stack without Vault."""
    if not uses_vault(args):
        return
    platform = args.platform
    for reader in filter(uses_vault, workloads_of(args)):
        yield Item(
            "policy", reader.key, "reads its own paths only" if reader is args else "reads what its job asks for only"
        )
        yield Item(
            "role", f"auth/{platform.vault.auth_path}/role/{reader.key}", f"for the service account {reader.name} alone"
        )
    for secret in args.secrets:
        path = f"{platform.vault.kv_mount}/data/{args.secret_path(secret)}"
        yield Item("secret", path, f"/vault/secrets/{secret.file} in the pod")
    for database in database_roles(args):
        place = "the pod of its job" if database.as_owner else "the pod"
        files = " and ".join(f"/vault/secrets/{file}" for file in (database.file, *database.files))
        yield Item("database role", args.database_path(database), f"{files} in {place}")
