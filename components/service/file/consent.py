"""The callee's consent: a call needs `calls` in the caller's file, and `callers` in the callee's.

A call opens the callee's network policy and its AuthorizationPolicy. Without its consent any team could write itself
into both. The halves may come in any order: a consent that nobody uses yet opens nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from components.kube.names import VAULT_CALLER
from components.kube.service_ref import ServiceRef
from components.service.file.network import at_port
from components.service.file.party import Party, PartyFinding

SELF_CALL = "no network policy lets its replicas call each other, and another service is meant"
"""Why a service is neither among its own calls nor among its own callers."""
_NOBODY = "no such service, and a later one of that name could call it"


@dataclass(frozen=True)
class MissingConsent:
    """A call that its callee has not agreed to."""

    caller: Party
    callee: Party
    number: int
    """That of the call among the caller's `calls`."""

    @property
    def written(self) -> str:
        """The caller, as the callee's file writes it under `callers`."""
        port = self.caller.calls[self.number].port
        return at_port(self.caller.ref.seen_from(self.callee.namespace), port)


def missing_consents(specs: Sequence[Party]) -> Iterator[MissingConsent]:
    """The calls between these services that lack the callee's consent."""
    by_ref = {spec.ref: spec for spec in specs}
    for caller in specs:
        for number, (ref, call) in enumerate(caller.called()):
            callee = by_ref.get(ref)
            if callee is None or callee is caller or call.port not in callee.called_ports:
                continue
            if (caller.ref, call.port) not in callee.allowed_callers():
                yield MissingConsent(caller, callee, number)


def consent_findings(
    specs: Sequence[Party], is_elsewhere: Callable[[str], bool] = lambda _: False
) -> Iterator[PartyFinding]:
    """The problems of `callers`: a call without consent, and a consent to nobody.

    `is_elsewhere` is whether other stacks deploy the services of a namespace. A name there may only be taken by the
    team that has the namespace, and that is whom the callee agrees to.
    """
    for missing in missing_consents(specs):
        callee, written = missing.callee, missing.written
        message = (
            f"{written} calls it, and it does not agree: add {written} here, which `zt consent --write` does, or take "
            f"the call out of {written}"
        )
        yield callee, ("callers",), message, repr(list(callee.callers)), (*callee.callers, written)
    services = {spec.ref for spec in specs}
    # Vault calls a service that the stack file says is a database.
    known = services | {ServiceRef.parse(VAULT_CALLER, "")}
    for spec in specs:
        legal = tuple(sorted(ref.seen_from(spec.namespace) for ref in services - {spec.ref}))
        for number, (ref, port) in enumerate(spec.allowed_callers()):
            if ref == spec.ref or (ref not in known and not is_elsewhere(ref.namespace)):
                message = SELF_CALL if ref == spec.ref else _NOBODY
                yield spec, ("callers", number), message, repr(spec.callers[number]), legal
            elif port and port not in spec.called_ports:
                message = "no port of this service has that name: write one of ports, or leave it out for port"
                yield spec, ("callers", number), message, repr(port), tuple(name for name in spec.called_ports if name)


def consents(specs: Sequence[Party]) -> Iterator[tuple[ServiceRef, ServiceRef, str]]:
    """Each service, and each one that it lets call it, with the name of a port if that is not its `port`."""
    for spec in specs:
        yield from ((spec.ref, caller, port or "") for caller, port in spec.allowed_callers())
