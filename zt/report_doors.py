"""The door of each public service as a report shows it: what holds a request back, and what an answer carries."""

from components.plan import Plan
from components.secure_ingress import SecureIngressArgs
from components.service_args import SecureServiceArgs
from zt.report_model import Door
from zt.report_services import name_of


def doors(wanted: Plan) -> tuple[Door, ...]:
    """What the door asks of each public service, by the service's name."""
    public = (args for args in wanted.services if args.public)
    made = (_ingress(args) if args.platform.route == "ingress" else _gateway(args, wanted.ingress) for args in public)
    return tuple(sorted(made, key=lambda door: door.service))


def _gateway(args: SecureServiceArgs, door: SecureIngressArgs) -> Door:
    over_rate = "answered" if not args.door.requests else "refused" if door.enforce else "counted"
    firewall = "none" if not door.firewall else "blocks" if door.enforce else "detects"
    return Door(
        service=name_of(args),
        hosts=args.hosts,
        paths=tuple(args.paths),
        min_tls=door.tls_version,
        requests=args.door.requests,
        seconds=args.door.seconds,
        over_rate=over_rate,
        max_request_bytes=args.door.max_request_bytes,
        firewall=firewall,
        headers=tuple(f"{name}: {text}" for name, text in sorted(args.door.headers.items())),
        annotations=(),
    )


def _ingress(args: SecureServiceArgs) -> Door:
    """An Ingress says all of it by annotations; a lowest version of TLS and a firewall are among them, or none."""
    return Door(
        service=name_of(args),
        hosts=args.hosts,
        paths=tuple(args.paths),
        min_tls="",
        requests=args.door.requests,
        seconds=args.door.seconds,
        over_rate="refused" if args.door.requests else "answered",
        max_request_bytes=args.door.max_request_bytes,
        firewall="none",
        headers=(),
        annotations=tuple(f"{name}: {text}" for name, text in sorted(args.door.annotations.items())),
    )
