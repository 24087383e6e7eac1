"""A replay as text for a person, and as JSON for `zt report` and pipelines."""

import json
from collections.abc import Callable

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zt.attack.attacker import Attacker
from zt.attack.attempt import TITLES
from zt.attack.evidence import Result
from zt.attack.packets.packet import Sent
from zt.attack.replay import Replay, Row, outcome
from zt.project.console import printed

JSON_VERSION = 1
_STYLES = {Result.BLOCKED: "green", Result.SUCCEEDED: "bold red", Result.NOT_MEASURED: "yellow"}
_WIDTH = 110
_INDENT = 15


def text(result: Replay) -> str:
    """The replay without colours, for a file or a pipe."""
    return printed(lambda console: print_replay(result, console), _WIDTH)


def print_replay(replay: Replay, console: Console) -> None:
    """Write the replay to a terminal: for each attack its attempts, with what stopped them."""
    for number, title in TITLES.items():
        rows = [row for row in replay.rows if row.attempt.attack == number]
        if not rows:
            continue
        result = outcome(number, rows)
        console.print(Text.assemble((f"{number} {title}: ", "bold"), (str(result), _STYLES[result] if result else "")))
        for row in rows:
            _print_row(row, console)
        console.print()
    console.print(Text(summary(replay), style="bold red" if replay.exit_code else "green"), soft_wrap=True)


def _print_row(row: Row, console: Console) -> None:
    result = row.evidence.result
    line = Text("  ")
    line.append(f"{result:<13}", style=_STYLES[result])
    line.append(row.attempt.name, style="bold")
    line.append(f"  {row.seconds:.2f} s", style="dim")
    console.print(line)
    control = row.attempt.control
    for line, style in ((row.tried, ""), (row.evidence.answer, "cyan"), (f"control: {control}", "dim")):
        console.print(Padding(Text(line, style=style), (0, 0, 0, _INDENT)))


def summary(replay: Replay) -> str:
    """The replay in one line."""
    counts = ", ".join(f"{replay.count(result)} {result}" for result in Result)
    who = replay.service if replay.attacker is Attacker.POD else f"{replay.attacker} of {replay.service}"
    differing = f"; {replay.differing} packets went otherwise than the rules say" if replay.differing else ""
    return f"{replay.stack}: {len(replay.rows)} attempts as {who}: {counts}{differing}"


def as_json(replay: Replay) -> str:
    """The replay for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

        {"version": 1, "stack", "as": ATTACKER, "service": "namespace/name", "cluster", "vault": text,
         "summary": {"blocked", "succeeded", "not measured", "differing": number},
         "attacks": [{"number", "title", "result": RESULT,
           "attempts": [{"name", "tried": text, "result": RESULT, "answer": text,
             "control": {"layer", "component": text, "rules": [text]}, "seconds": number,
             "packets": [{"from", "to", "by": text, "declared": bool, "judged": JUDGED, "rule": text,
               "sent": SENT, "answer": text, "differs": bool}]}]}]}

    ATTACKER is pod, namespace-admin or namespace-edit; the last two have their role in the namespace of the service.
    RESULT is blocked, succeeded or not measured. An attack of which nothing was tried is left out. JUDGED is what the
    live rules say: blocked or open, or empty where they say nothing; SENT what became of the packet: open, refused,
    silent or not sent. Only attempts that send have `packets`.
    """
    document = {
        "version": JSON_VERSION,
        "stack": replay.stack,
        "as": replay.attacker.value,
        "service": replay.service,
        "cluster": replay.cluster,
        "vault": replay.vault,
        "summary": {**{result.value: replay.count(result) for result in Result}, "differing": replay.differing},
        "attacks": [
            {"number": number, "title": title, "result": result.value, "attempts": [_row(row) for row in rows]}
            for number, title in TITLES.items()
            if (rows := [row for row in replay.rows if row.attempt.attack == number])
            and (result := outcome(number, rows))
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _row(row: Row) -> dict[str, object]:
    control = row.attempt.control
    return {
        "name": row.attempt.name,
        "tried": row.tried,
        "result": row.evidence.result.value,
        "answer": row.evidence.answer,
        "control": {"layer": control.layer, "component": control.component, "rules": list(control.rules)},
        "seconds": round(row.seconds, 3),
        **({"packets": [_packet(sent) for sent in row.evidence.packets]} if row.evidence.packets else {}),
    }


def _packet(sent: Sent) -> dict[str, object]:
    packet = sent.packet
    return {
        "from": str(packet.sender),
        "to": f"{packet.target}:{packet.port}",
        "by": packet.by,
        "declared": packet.declared,
        "judged": sent.judged,
        "rule": packet.verdict.why if packet.verdict else "",
        "sent": sent.arrival.value,
        "answer": sent.answer,
        "differs": sent.differs,
    }


FORMATS: dict[str, Callable[[Replay], str]] = {"text": text, "json": as_json}
