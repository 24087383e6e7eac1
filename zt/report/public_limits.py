"""The limits of each public service in a report: which requests are refused, and the headers of an answer."""

from components.ingress.secure_ingress import SecureIngressArgs
from components.program.plan import Plan
from components.service.args.routes import PublicPort
from components.service.args.service import SecureServiceArgs
from zt.report.model import PublicLimits
from zt.report.services import name_of


def public_limits(planned: Plan) -> tuple[PublicLimits, ...]:
    """The gateway's limits of each public service, sorted by the service's name."""
    rows = (
        _ingress(args, port) if args.platform.ingress.route == "ingress" else _gateway(args, port, planned.ingress)
        for args in planned.public
        for port in args.public_ports
    )
    return tuple(sorted(rows, key=lambda limits: (limits.service, limits.hosts)))


def _gateway(args: SecureServiceArgs, port: PublicPort, gateway: SecureIngressArgs) -> PublicLimits:
    over_rate = "answered" if not args.limits.requests else "refused" if gateway.enforce else "counted"
    firewall = "none" if not gateway.firewall else "blocks" if gateway.enforce else "detects"
    return PublicLimits(
        service=name_of(args),
        hosts=tuple(port.hosts),
        paths=tuple(route.path for route in port.routes),
        min_tls=gateway.tls_version,
        requests=args.limits.requests,
        seconds=args.limits.seconds,
        over_rate=over_rate,
        max_request_bytes=args.limits.max_request_bytes,
        firewall=firewall,
        headers=tuple(f"{name}: {text}" for name, text in sorted(args.limits.headers.items())),
        annotations=(),
    )


def _ingress(args: SecureServiceArgs, port: PublicPort) -> PublicLimits:
    """The limits of an Ingress. A TLS version or a firewall can only be among its annotations."""
    return PublicLimits(
        service=name_of(args),
        hosts=tuple(port.hosts),
        paths=tuple(route.path for route in port.routes),
        min_tls="",
        requests=args.limits.requests,
        seconds=args.limits.seconds,
        over_rate="refused" if args.limits.requests else "answered",
        max_request_bytes=args.limits.max_request_bytes,
        firewall="none",
        headers=(),
        annotations=tuple(f"{name}: {text}" for name, text in sorted(args.limits.annotations.items())),
    )
