"""How long each project mends the release line that is pinned here, and why a line is kept beyond that.

`python -m components.kube.support` prints the table, and ends with 1 when a line is past its end and past the last day
of the reason to keep it. The nightly workflow runs it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime


@dataclass(frozen=True)
class Kept:
    """Why a line is used beyond its end, and the first day on which that is asked again."""

    reason: str
    until: date


@dataclass(frozen=True)
class Line:
    """A release line of a project: `charts` begins the version of its chart, `version` is what the project calls it.

    Its support ends with `event`; `ends` is the day of that, as published or as the project's own pace lets expect it,
    and `None` where neither is known. `policy` is the page that says so.
    """

    project: str
    charts: str
    version: str
    released: date
    event: str
    ends: date | None
    policy: str
    kept: Kept | None = None

    def supported(self, today: date) -> bool:
        """Whether the project still mends it, as far as that is known."""
        return self.ends is None or today < self.ends

    def passes(self, today: date) -> bool:
        """Whether it is supported, or kept for a reason that still holds."""
        return self.supported(today) or (self.kept is not None and today < self.kept.until)


LINES = (
    Line(
        "istio",
        "1.31.",
        "1.31",
        date(2026, 8, 31),
        "six weeks after 1.33",
        date(2027, 3, 31),
        "https://istio.io/latest/docs/releases/supported-releases/",
    ),
    Line(
        "kyverno",
        "3.9.",
        "1.19",
        date(2026, 8, 20),
        "release of 1.22",
        date(2027, 5, 1),
        "https://kyverno.io/docs/installation/releases/",
    ),
    Line(
        "cert-manager",
        "v1.21.",
        "1.21",
        date(2026, 7, 8),
        "release of 1.23",
        date(2027, 3, 1),
        "https://cert-manager.io/docs/releases/",
    ),
    Line(
        "external-secrets",
        "0.16.",
        "0.16",
        date(2025, 4, 14),
        "release of 0.17",
        date(2025, 5, 14),
        "https://external-secrets.io/latest/introduction/stability-support/",
        Kept(
            "the tests have run no newer one yet; only `vault.delivery: external-secrets` installs it",
            date(2027, 2, 1),
        ),
    ),
    Line(
        "vault",
        "0.34.",
        "2.0",
        date(2026, 4, 13),
        "release of 2.1",
        None,
        "https://support.hashicorp.com/hc/en-us/articles/360021185113",
    ),
    Line(
        "openbao",
        "0.29.",
        "2.6",
        date(2026, 7, 14),
        "release of 2.7",
        date(2026, 9, 23),
        "https://openbao.org/community/policies/support/",
        Kept("2.7 takes the seals of the clouds out of the server, which `vault.seal` sets", date(2027, 2, 1)),
    ),
)
"""The line of each project whose charts are pinned in `charts.py`."""


def line_of(project: str) -> Line:
    """The line of a project. Raises `StopIteration` for one that has no charts here."""
    return next(line for line in LINES if line.project == project)


def table(today: date | None = None) -> str:
    """The lines as a table of Markdown; with a day, whether each is supported on it."""
    head = ["project", "line", "supported until", *(["on that day"] if today else []), "kept because"]
    rows = [head, ["---"] * len(head)]
    for line in LINES:
        ends = f"{line.event} ({line.ends})" if line.ends else f"{line.event} (no date yet)"
        kept = f"{line.kept.reason}; asked again on {line.kept.until}" if line.kept else ""
        project = f"[{line.project}]({line.policy})"
        state = [_state(line, today)] if today else []
        rows.append([project, f"{line.version} of {line.released}", ends, *state, kept])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _state(line: Line, today: date) -> str:
    if line.supported(today):
        return "supported"
    return "kept" if line.passes(today) else "out of support"


def main(arguments: Sequence[str]) -> int:
    """Print the table of a day; 1 when a line is out of support on it, with the line on the standard error."""
    parser = argparse.ArgumentParser(prog="python -m components.kube.support", description=__doc__)
    parser.add_argument("--on", type=date.fromisoformat, help="the day, such as 2027-03-01; today without it")
    today = parser.parse_args(arguments).on or datetime.now(UTC).date()
    sys.stdout.write(table(today))
    ended = [line for line in LINES if not line.passes(today)]
    for line in ended:
        sys.stderr.write(f"{line.project} {line.version} is out of support since {line.ends}: {line.policy}\n")
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
