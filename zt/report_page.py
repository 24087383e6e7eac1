"""A report as one HTML file that asks nothing of the network and runs nothing but its own filter."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from zt.report_matrix import matrix
from zt.report_model import Report, Rule, Summary

_TEMPLATES = Path(__file__).parent / "report_templates"
_TONES: Mapping[str, str] = {
    "valid": "good",
    "renewal overdue": "bad",
    "expired": "bad",
    "not ready": "bad",
    "missing": "bad",
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
    words: str
    tone: str


def page(report: Report) -> str:
    """The HTML of a report. Every value is escaped; script and style are allowed by their digests alone."""
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
        # The project's own text: nothing of the report is in it.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        sections=list(_sections(report)),
        tiles=list(_tiles(report)),
        unmeasured=list(_unmeasured(report)),
        access_words=_access_words(report.summary),
        team_of={service.name: service.team for service in report.services},
        teams=sorted({service.team for service in report.services} | {found.team for found in report.violations}),
        tiers=_tiers(report.rules),
        tone_of=_TONES,
    )


def content_security_policy(style: str, script: str) -> str:
    """What the page may do: show its own style, run its own script, and nothing else."""
    parts = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        # The empty icon, which keeps a browser from asking for one.
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
    found = report.summary
    enforced = f"{found.layers_enforced} of {found.layers}"
    yield Tile("posture", enforced, "layers enforced", "good" if found.layers_enforced == found.layers else "warn")
    declared = all(connection.declared for connection in report.connections)
    pairs = f"{found.open_pairs} of {found.possible_pairs}"
    yield Tile("access", pairs, "connections between services open", "good" if declared else "warn")
    secure = all(path.url.startswith("https://") for path in report.public)
    yield Tile("access", str(found.public_services), "services public", "plain" if secure else "bad")
    if found.rules:
        yield Tile("rules", f"{found.rules_denying} of {found.rules}", "rules deny, the rest report", "plain")
    else:
        yield Tile("rules", "none", "rules on", "warn")
    yield _violations(found)
    yield _certificates(found)
    yield _exceptions(found)
    yield _attacks(found)


def _violations(found: Summary) -> Tile:
    if found.violations is None:
        return Tile("rules", "not measured", "violations", "unknown")
    return Tile("rules", str(found.violations), "violations of rules", "warn" if found.violations else "good")


def _certificates(found: Summary) -> Tile:
    if found.certificates_valid is None:
        return Tile("certificates", "not measured", "certificates", "unknown")
    if not found.certificates:
        return Tile("certificates", "0", "certificates", "plain")
    tone = "good" if found.certificates_valid == found.certificates else "bad"
    return Tile("certificates", f"{found.certificates_valid} of {found.certificates}", "certificates valid", tone)


def _exceptions(found: Summary) -> Tile:
    if found.exceptions_expired:
        return Tile("exceptions", f"{found.exceptions_expired} of {found.exceptions}", "exceptions expired", "bad")
    return Tile(
        "exceptions", str(found.exceptions), "exceptions, none expired" if found.exceptions else "exceptions", "plain"
    )


def _attacks(found: Summary) -> Tile:
    if found.attacks_succeeded is None or found.attacks_blocked is None:
        return Tile("attacks", "not measured", "attacks", "unknown")
    if found.attacks_succeeded:
        return Tile("attacks", str(found.attacks_succeeded), "attempts of attacks succeeded", "bad")
    return Tile(
        "attacks",
        str(found.attacks_blocked),
        "attacks tried and blocked",
        "good" if found.attacks_blocked else "unknown",
    )


def _unmeasured(report: Report) -> Iterator[tuple[str, str]]:
    if not report.cluster.measured:
        yield "compliance with the rules, certificates and their expiry", report.cluster.reason
    elif report.summary.violations is None:
        yield "compliance with the rules", "no PolicyReport of the cluster has a result of any rule that is on"
    if not report.attack.measured:
        yield "attacks", report.attack.reason


def _access_words(found: Summary) -> str:
    if not found.possible_pairs:
        return "By network policy and authorization together."
    share = 100 * found.open_pairs / found.possible_pairs
    return (
        f"By network policy and authorization together: {found.open_pairs} of {found.possible_pairs} possible "
        f"connections between services are open ({share:.1f} %). A row is a caller, a column is a callee."
    )


def _tiers(rules: Sequence[Rule]) -> list[tuple[str, list[Rule]]]:
    return [(tier, list(same)) for tier, same in groupby(rules, key=lambda rule: rule.tier)]
