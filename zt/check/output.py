"""Writes a report as JSON and as JUnit. SARIF and text have separate modules."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import cast

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from zt.check.output_sarif import sarif
from zt.check.output_text import text_report
from zt.check.report import Report
from zt.check.verdicts import Outcome, Verdict

JSON_VERSION = 1


def as_json(report: Report) -> str:
    """The report for scripts. `version` changes when a key changes its meaning or goes; keys may be added."""
    document = {
        "version": JSON_VERSION,
        "stack": report.stack,
        "asOf": report.as_of.isoformat(),
        "clean": not report.blocking(),
        "checked": {"objects": report.objects, "rules": report.rules},
        "summary": {outcome.value: report.count(outcome) for outcome in Outcome},
        "warnings": list(report.warnings),
        "verdicts": [_verdict(verdict) for verdict in report.verdicts],
    }
    return json.dumps(document, indent=2) + "\n"


def _verdict(verdict: Verdict) -> dict[str, object]:
    document: dict[str, object] = {
        "outcome": verdict.outcome.value,
        "service": verdict.service,
        "rule": verdict.rule,
        "tier": verdict.tier,
        "action": verdict.action,
        "severity": verdict.severity,
        "object": {
            "kind": verdict.kind,
            "namespace": verdict.namespace,
            "name": verdict.name,
            "release": verdict.release,
        },
        "message": verdict.message,
        "file": verdict.place.file,
        "key": verdict.place.key,
        "keyWritten": verdict.place.written,
        "line": verdict.place.line,
        "madeBy": verdict.place.made_by,
    }
    if (exception := verdict.exception) is not None:
        expires = exception.expires.isoformat() if exception.expires else ""
        document["exception"] = {
            "name": exception.name,
            "owner": exception.owner,
            "reason": exception.reason,
            "expires": expires,
        }
    return document


def as_junit(report: Report) -> str:
    """The report as test results for a pipeline: a suite for each service, a case for each rule and object."""
    suites = JUnitXml(f"zt check {report.stack}")
    for service, verdicts in (report.by_service() or {"all services": []}).items():
        suite = TestSuite(service)
        # A suite without a case looks as if it had not run.
        cases = [_case(verdict) for verdict in verdicts] or [TestCase("every rule", f"zt.{report.stack}")]
        suite.add_testcases(cases)
        suites.add_testsuite(suite)
    written = BytesIO()
    suites.write(written, pretty=True)  # pyright: ignore[reportUnknownMemberType] - typed for bytes and text alike
    return written.getvalue().decode()


def _case(verdict: Verdict) -> TestCase:
    case = TestCase(f"{verdict.rule}: {verdict.subject}", f"zt.{verdict.service}")
    place = f"{verdict.place.file}:{verdict.place.line} {verdict.place.key}".rstrip()
    body = f"{verdict.message}\n{place}"
    if verdict.outcome in (Outcome.REFUSED, Outcome.EXPIRED):
        failure = Failure(verdict.message, verdict.outcome.value)
        failure.text = body
        case.result = [failure]
    else:
        skipped = Skipped(verdict.message, verdict.outcome.value)
        skipped.text = body
        case.result = [skipped]
    return case


FORMATS = cast(
    "dict[str, Callable[[Report], str]]",
    {"text": text_report, "json": as_json, "sarif": sarif, "junit": as_junit},
)
