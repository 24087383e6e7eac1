"""Checks of calls between services and packages: each leads to somebody, at a port that is there, and is agreed to."""

from collections.abc import Callable, Collection, Iterator, Sequence

from components.schema.problem import Problem
from components.service.file.consent import SELF_CALL, consent_findings
from components.service.file.network import at_port
from components.service.file.party import PartyFile


def edge_problems(
    files: Sequence[PartyFile], *, consent: bool, is_elsewhere: Callable[[str], bool] = lambda _: False
) -> list[Problem]:
    """The problems of calls between these. `consent` is whether a call that its callee does not agree to is one.

    `is_elsewhere` is whether other stacks deploy the services of a namespace.
    """
    return [
        *_unknown_calls(files, is_elsewhere),
        *_requests_by_protocol(files),
        *(_without_consent(files, is_elsewhere) if consent else ()),
    ]


def _without_consent(files: Sequence[PartyFile], is_elsewhere: Callable[[str], bool]) -> Iterator[Problem]:
    by_party = {file.spec.ref: file for file in reversed(files)}
    for party, key, message, value, legal in consent_findings([file.spec for file in files], is_elsewhere):
        yield by_party[party.ref].problem(key, message, value, legal)


def _unknown_calls(files: Sequence[PartyFile], is_elsewhere: Callable[[str], bool]) -> list[Problem]:
    known = {file.spec.ref: file.spec.called_ports for file in files}
    problems: list[Problem] = []
    for file in files:
        spec = file.spec
        legal = sorted(ref.seen_from(spec.namespace) for ref in known.keys() - {spec.ref})
        for number, (callee, call) in enumerate(spec.called()):
            if callee == spec.ref:
                problems.append(file.problem("calls", SELF_CALL, repr(call.service), legal))
            elif callee not in known and is_elsewhere(callee.namespace):
                if not call.number:
                    problems.append(_unnumbered(file, number))
            elif callee not in known:
                problems.append(file.problem("calls", "no such service", repr(call.service), legal))
            elif call.port not in known[callee]:
                problems.append(_unknown_port(file, number, known[callee]))
    return problems


def _unnumbered(file: PartyFile, number: int) -> Problem:
    """A call to a service of another stack, whose file with the names of its ports is not here."""
    call = file.spec.calls[number]
    message = f"another stack deploys it: write the number of its port, such as {call.service}:8080"
    return file.problem(("calls", number), message, repr(call.written))


def _unknown_port(file: PartyFile, number: int, ports: Collection[str | None]) -> Problem:
    call = file.spec.calls[number]
    if not ports:
        return file.problem(("calls", number), "it listens on no port, so nobody can call it", repr(call.written))
    legal = [at_port(call.service, name) for name in ports]
    return file.problem(("calls", number), "no such port of this service", repr(call.written), legal)


def _requests_by_protocol(files: Sequence[PartyFile]) -> list[Problem]:
    ports = {file.spec.ref: file.spec.called_ports for file in files}
    problems: list[Problem] = []
    for file in files:
        for number, (callee, call) in enumerate(file.spec.called()):
            key = next((key for key in ("rpc", "methods", "paths") if getattr(call, key)), "")
            _, protocol = ports.get(callee, {}).get(call.port, (0, ""))
            message = ""
            if key and protocol == "tcp":
                message = f"{call.written} speaks tcp, which has neither methods nor paths: leave them out"
            elif key == "rpc" and protocol in ("http", "http2"):
                message = f"{call.written} speaks {protocol}, not grpc: write methods and paths"
            if message:
                problems.append(file.problem(("calls", number, key), message))
    return problems
