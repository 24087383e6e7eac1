"""A report as SARIF 2.1.0, which code hosts show at the line of a pull request.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import json

from zt.check.report import Report
from zt.check.verdicts import Outcome, Verdict

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Outcome.REFUSED: "error",
    Outcome.EXPIRED: "error",
    Outcome.WARNED: "warning",
    Outcome.EXCEPTED: "note",
}


def sarif(report: Report) -> str:
    """One run; each rule with its help, each verdict at its file and line."""
    rules = {verdict.rule: verdict for verdict in reversed(report.verdicts)}
    order = {rule: number for number, rule in enumerate(sorted(rules))}
    driver = {"name": "zt check", "rules": [_rule(rules[name]) for name in order]}
    notes = [{"level": "warning", "message": {"text": warning}} for warning in report.warnings]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "results": [_result(verdict, order[verdict.rule]) for verdict in report.verdicts],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(verdict: Verdict) -> dict[str, object]:
    return {
        "id": verdict.rule,
        "shortDescription": {"text": verdict.title or verdict.rule},
        "help": {"text": verdict.help or verdict.title or verdict.rule},
        "properties": {"tags": [tag for tag in (verdict.tier, verdict.severity) if tag]},
    }


def _result(verdict: Verdict, rule: int) -> dict[str, object]:
    key = f" Key: {verdict.place.key}." if verdict.place.key else ""
    location: dict[str, object] = {"artifactLocation": {"uri": verdict.place.file, "uriBaseId": "%SRCROOT%"}}
    if verdict.place.line:
        location["region"] = {"startLine": verdict.place.line}
    result: dict[str, object] = {
        "ruleId": verdict.rule,
        "ruleIndex": rule,
        "level": _LEVELS[verdict.outcome],
        "message": {"text": f"{verdict.subject}: {verdict.message}{key}"},
        "locations": [{"physicalLocation": location, "logicalLocations": [{"fullyQualifiedName": verdict.subject}]}],
        # So a finding keeps its identity when lines above it move.
        "partialFingerprints": {"ztCheck/v1": f"{verdict.service}/{verdict.rule}/{verdict.subject}"},
    }
    if verdict.outcome is Outcome.EXCEPTED and verdict.exception is not None:
        result["suppressions"] = [{"kind": "external", "justification": verdict.exception.reason}]
    return result
