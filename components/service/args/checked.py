"""The values of a service that is built in code, checked by the types of a service file.

What a file may not say, code may not either.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from components.schema import checked
from components.service.args.containers import ContainerArgs
from components.service.args.jobs import RunArgs
from components.service.args.network import EgressArgs, JwtArgs, PortArgs, StickyArgs
from components.service.args.scaling import ResourceArgs
from components.service.args.storage import ConfigArgs, VolumeArgs
from components.service.file.service import ServiceSpec

if TYPE_CHECKING:
    from components.service.args.service import ApiRuleArgs, SecretArgs, SecureServiceArgs

Values = dict[str, object]
_SECONDS_OF_A_FILE = 999_999
_ASKED: Values = {"command": ("asked",)}
_BY_COMMAND: Values = {"readiness": _ASKED, "liveness": _ASKED}
# A file says these, and the arguments have the last day alone.
_AGREED = {"reason": "agreed upon in code", "owner": "code"}


def check_values(args: "SecureServiceArgs") -> None:
    """Raise `FieldError` for the first value that no service file may have."""
    checked.check_values(ServiceSpec, _values(args), f"{args.key}.")


def _values(args: "SecureServiceArgs") -> Values:
    """The keys of a service file that says the same."""
    every: Values = {
        **{key: getattr(args, key) for key in ("name", "namespace", "team", "image", "component")},
        **_public(args),
        **_pods(args),
        **_container(args, args.command, args.arguments, args.env, args.pod_env, args.config),
        "ports": {
            each.name: {"port": each.port, "protocol": each.protocol, **_sticky(each.sticky), **_public_port(each)}
            for each in args.ports
        },
        **_sticky(args.sticky),
        "peers": tuple(args.peers),
        "startInOrder": args.start_in_order or None,
        "costCenter": args.cost_center or None,
        "runAsUser": args.run_as_user,
        "writable": tuple(args.writable),
        "writableCopies": tuple(args.writable_copies),
        "health": args.health or None,
        # A host of a database may be there, too, for each database that it has.
        "egress": tuple({each.host: _outside(each) for each in args.egress}.values()),
        "plaintextPorts": tuple(
            {"port": each.port, "cidrs": tuple(each.networks), **_AGREED, **_days(each.expires)}
            for each in args.plaintext_ports
        ),
        "metrics": {"port": args.metrics.port, "path": args.metrics.path or "/"} if args.metrics.port else None,
        "secrets": {secret.name: _secret(secret) for secret in args.secrets},
        "kubernetesApi": tuple(_right(rule) for rule in args.kubernetes_api),
        "init": {each.name: _further(each) for each in args.init},
        "sidecars": {each.name: _beside(each) for each in args.sidecars},
        "jobs": {
            each.name: {
                **_run(each.run),
                "command": tuple(each.command),
                "volumes": dict.fromkeys(each.reads, "read") | dict.fromkeys(each.writes, "write"),
                "ownVolumes": {volume.name: _volume(volume) for volume in each.own_volumes},
                **_resources(each),
            }
            for each in args.jobs
        },
    }
    given = {**every, **_kept(args)}
    # What is left out says nothing: an empty text is none, where a file has no key.
    return {key: value for key, value in given.items() if value not in (None, {}, ()) or key == "paths"}


def _pods(args: "SecureServiceArgs") -> Values:
    """The port, or what a program without one has, and the number of pods."""
    port = {"port": args.port, "protocol": args.protocol, "paths": tuple(args.paths)} if args.port else {}
    if args.ends:
        return {**port, "run": _run(args.run)}
    probes = {} if args.port or args.metrics.port else {"probes": _BY_COMMAND}
    return {**port, **probes, **(_autoscaled(args) or {"replicas": args.replicas})}


def _outside(each: EgressArgs) -> Values:
    return {"host": each.host, "port": each.port, "protocol": each.protocol, "cidrs": tuple(each.networks)}


def _public_port(each: PortArgs) -> Values:
    return {"host": each.host, "paths": tuple(each.paths)} if each.host else {}


def _sticky(sticky: StickyArgs) -> Values:
    keys = {key: value for key, value in (("cookie", sticky.cookie), ("header", sticky.header)) if value}
    return {"sticky": keys} if keys else {}


def _public(args: "SecureServiceArgs") -> Values:
    tokens = [_token(each) for each in (args.jwt, *args.other_jwt) if each.issuer]
    return {
        "host": args.host or None,
        "aliases": tuple(args.aliases),
        **({"jwt": tuple(tokens)} if tokens else {}),
    }


def _token(jwt: JwtArgs) -> Values:
    keys: Values = {"jwks": json.loads(jwt.jwks)} if jwt.jwks else {"jwksUri": jwt.jwks_uri}
    claims = {name: tuple(values) for name, values in jwt.required_claims.items()}
    return {"issuer": jwt.issuer, "audiences": tuple(jwt.audiences), "requiredClaims": claims, **keys}


def _kept(args: "SecureServiceArgs") -> Values:
    bundle = args.ca_bundle
    return {
        "volumes": {each.name: _volume(each) for each in args.volumes},
        "scratch": {each.name: {"path": each.path, "size": each.size, "memory": each.memory} for each in args.scratch},
        "caBundle": {"configMap": bundle.config_map, "key": bundle.key, "path": bundle.path}
        if bundle.config_map
        else None,
    }


def _volume(each: VolumeArgs) -> Values:
    return {
        "path": each.path,
        "size": each.size,
        "storageClass": each.storage_class or None,
        "accessMode": each.access_mode,
    }


def _autoscaled(args: "SecureServiceArgs") -> Values:
    scaled = args.autoscaling
    if not scaled.maximum:
        return {}
    return {
        "autoscaling": {
            "min": scaled.minimum,
            "max": scaled.maximum,
            "cpu": scaled.cpu,
            "memory": scaled.memory or None,
        }
    }


def _container(
    args: ResourceArgs,
    command: object,
    arguments: object,
    env: Mapping[str, str],
    pod_env: Mapping[str, str],
    config: ConfigArgs,
) -> Values:
    return {
        **_resources(args),
        "command": command,
        "args": arguments,
        "env": dict(env),
        "podEnv": dict(pod_env),
        "config": {"path": config.path, "files": dict(config.files)} if config.path else None,
    }


def _further(each: ContainerArgs) -> Values:
    return {
        **_container(each, each.command, each.arguments, each.env, each.pod_env, each.config),
        "image": each.image,
        "runAsUser": each.run_as_user,
        "writable": tuple(each.writable),
        "writableCopies": tuple(each.writable_copies),
    }


def _beside(each: ContainerArgs) -> Values:
    probes = None if each.port else _BY_COMMAND
    return {**_further(each), "port": each.port or None, "health": each.health or None, "probes": probes}


def _resources(args: ResourceArgs) -> Values:
    requests = {"cpu": args.cpu_request, "memory": args.memory_request}
    limits = {"cpu": args.cpu_limit, "memory": args.memory_limit}
    for amounts, disk in ((requests, args.disk_request), (limits, args.disk_limit)):
        if disk:
            amounts["ephemeralStorage"] = disk
    return {"resources": {"requests": requests, "limits": limits}}


def _run(run: RunArgs) -> Values:
    whole_hours = run.timeout > _SECONDS_OF_A_FILE and run.timeout % 3600 == 0
    timeout = f"{run.timeout // 3600}h" if whole_hours else f"{run.timeout}s"
    return {"schedule": run.schedule or None, "retries": run.retries, "timeout": timeout}


def _secret(secret: "SecretArgs") -> Values:
    written: Values = {"file": secret.file, "template": secret.template or None}
    if secret.owner:
        return {**written, "from": f"{secret.owner.namespace}/{secret.owner.name}/{secret.owned_as}"}
    fields: Values = {"generate": tuple(secret.generate), "external": tuple(secret.external)}
    return {**written, **fields, "values": dict(secret.values), "replaces": secret.replaces}


def _right(rule: "ApiRuleArgs") -> Values:
    agreed = {**_AGREED, **_days(rule.expires)} if rule.expires else {}
    named = {"apiGroups": tuple(rule.api_groups), "resources": tuple(rule.resources), "verbs": tuple(rule.verbs)}
    return {**named, "clusterWide": rule.cluster_wide, **agreed}


def _days(expires: str) -> Values:
    return {"granted": date.fromisoformat(expires) - timedelta(days=1), "expires": expires}
