"""Where the pods of a service run: what the class of its placement says.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from components.kube.manifest import Manifest
from components.service.args.placement import PlacementArgs, TolerationArgs


def placement_fields(args: PlacementArgs) -> Manifest:
    """The fields of a pod's spec; none without a class."""
    fields: Manifest = {
        "nodeSelector": dict(args.node_selector),
        "tolerations": [_toleration(toleration) for toleration in args.tolerations],
        "priorityClassName": args.priority_class,
        "runtimeClassName": args.runtime_class,
    }
    return {key: value for key, value in fields.items() if value}


def _toleration(args: TolerationArgs) -> Manifest:
    matched = {"operator": "Equal", "value": args.value} if args.value else {"operator": "Exists"}
    return {"key": args.key, **matched, **({"effect": args.effect} if args.effect else {})}


def with_devices(resources: Manifest, args: PlacementArgs) -> Manifest:
    """The resources of a container with the devices of the class, whose requests and limits are the same."""
    devices = {name: str(number) for name, number in args.resources.items()}
    return {kind: {**amounts, **devices} for kind, amounts in resources.items()} if devices else resources


def placement_text(args: PlacementArgs) -> str:
    """What a class says of the pods, in words; `any node` without one."""
    if not args.name:
        return "any node"
    tolerated = [
        f"{t.key}{f'={t.value}' if t.value else ''}{f':{t.effect}' if t.effect else ''}" for t in args.tolerations
    ]
    parts = {
        "nodes with": ", ".join(f"{key}={value}" for key, value in sorted(args.node_selector.items())),
        "tolerates": ", ".join(tolerated),
        "priority": args.priority_class,
        "runtime": args.runtime_class,
        "devices": ", ".join(f"{number} {name}" for name, number in sorted(args.resources.items())),
        "spread": args.spread if args.spread != PlacementArgs().spread else "",
    }
    return f"{args.name} ({'; '.join(f'{name} {text}' for name, text in parts.items() if text)})"
