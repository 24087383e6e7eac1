"""A report as one HTML file that loads nothing from the network and runs only the script of its filter."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from zt.report.matrix import matrix
from zt.report.model import Report, Rule, Summary

_TEMPLATES = Path(__file__).parent / "templates"
_TONES: Mapping[str, str] = {
    "valid": "good",
    "renewal overdue": "bad",
    "expired": "bad",
    "not ready": "bad",
    "missing": "bad",
    "there": "good",
    "not measured": "unknown",
    "deny": "good",
    "warn": "warn",
    "audit": "warn",
    "on": "good",
    "off": "off",
    "blocked": "good",
    "succeeded": "bad",
    "refused": "good",
    "counted": "warn",
    "blocks": "good",
    "detects": "warn",
    "none": "off",
}


@dataclass(frozen=True)
class Tile:
    """One number of the summary. `tone` is good, warn, bad, unknown or plain."""

    section: str
    value: str
    label: str
    tone: str


def page(report: Report) -> str:
    """The HTML of a report. Every value is escaped; only its own script and style are allowed, by their digests."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = (_asset(name) for name in ("style.css", "script.js"))
    return environment.get_template("page.html.j2").render(
        report=report,
        graph=matrix(report),
        policy=content_security_policy(style, script),
        # Text of this project that contains no value of the report.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        sections=list(_sections(report)),
        tiles=list(_tiles(report)),
        unmeasured=list(_unmeasured(report)),
        access_summary=_access_summary(report.summary),
        team_of={service.name: service.team for service in report.services},
        teams=sorted(
            {service.team for service in report.services} | {violation.team for violation in report.violations}
        ),
        tiers=_tiers(report.rules),
        tone_of=_TONES,
    )


def content_security_policy(style: str, script: str) -> str:
    """The policy that allows the page its own style and script, and nothing else."""
    parts = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        # An empty icon, so that the browser does not request one.
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _sections(report: Report) -> Iterator[tuple[str, str, int | None]]:
    yield "posture", "Posture", None
    yield "access", "Access", None
    yield "services", "Services", len(report.services)
    yield "vault", "Vault paths", len(report.vault)
    yield "certificates", "Certificates", len(report.certificates)
    yield "rules", "Rules", len(report.rules)
    yield "exceptions", "Exceptions", len(report.exceptions)
    yield "attacks", "Attacks", None


def _tiles(report: Report) -> Iterator[Tile]:
    summary = report.summary
    enforced = f"{summary.layers_enforced} of {summary.layers}"
    yield Tile("posture", enforced, "layers enforced", "good" if summary.layers_enforced == summary.layers else "warn")
    declared = all(connection.declared for connection in report.connections)
    pairs = f"{summary.open_pairs} of {summary.possible_pairs}"
    yield Tile("access", pairs, "connections between services open", "good" if declared else "warn")
    secure = all(path.url.startswith("https://") for path in report.public)
    yield Tile("access", str(summary.public_services), "services public", "plain" if secure else "bad")
    if summary.rules:
        yield Tile("rules", f"{summary.rules_denying} of {summary.rules}", "rules deny, the rest report", "plain")
    else:
        yield Tile("rules", "none", "rules on", "warn")
    yield _violations(summary)
    yield _certificates(summary)
    yield _exceptions(summary)
    yield _attacks(summary)


def _violations(summary: Summary) -> Tile:
    if summary.violations is None:
        return Tile("rules", "not measured", "violations", "unknown")
    return Tile("rules", str(summary.violations), "violations of rules", "warn" if summary.violations else "good")


def _certificates(summary: Summary) -> Tile:
    if summary.certificates_valid is None:
        return Tile("certificates", "not measured", "certificates", "unknown")
    if not summary.certificates:
        return Tile("certificates", "0", "certificates", "plain")
    tone = "good" if summary.certificates_valid == summary.certificates else "bad"
    return Tile("certificates", f"{summary.certificates_valid} of {summary.certificates}", "certificates valid", tone)


def _exceptions(summary: Summary) -> Tile:
    if summary.exceptions_expired:
        return Tile("exceptions", f"{summary.exceptions_expired} of {summary.exceptions}", "exceptions expired", "bad")
    return Tile(
        "exceptions",
        str(summary.exceptions),
        "exceptions, none expired" if summary.exceptions else "exceptions",
        "plain",
    )


def _attacks(summary: Summary) -> Tile:
    if summary.attacks_succeeded is None or summary.attacks_blocked is None:
        return Tile("attacks", "not measured", "attacks", "unknown")
    if summary.attacks_succeeded:
        return Tile("attacks", str(summary.attacks_succeeded), "attempts of attacks succeeded", "bad")
    return Tile(
        "attacks",
        str(summary.attacks_blocked),
        "attacks tried and blocked",
        "good" if summary.attacks_blocked else "unknown",
    )


def _unmeasured(report: Report) -> Iterator[tuple[str, str]]:
    if not report.cluster.measured:
        yield "compliance with the rules, certificates and their expiry", report.cluster.reason
    elif report.summary.violations is None:
        yield "compliance with the rules", "no PolicyReport of the cluster has a result of any rule that is on"
    if not report.attack.measured:
        yield "attacks", report.attack.reason


def _access_summary(summary: Summary) -> str:
    if not summary.possible_pairs:
        return "By network policy and authorization together."
    share = 100 * summary.open_pairs / summary.possible_pairs
    return (
        f"By network policy and authorization together: {summary.open_pairs} of {summary.possible_pairs} possible "
        f"connections between services are open ({share:.1f} %). A row is a caller, a column is a callee."
    )


def _tiers(rules: Sequence[Rule]) -> list[tuple[str, list[Rule]]]:
    return [(tier, list(same)) for tier, same in groupby(rules, key=lambda rule: rule.tier)]
