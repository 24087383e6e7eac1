"""`make test`: every suite, in lanes beside each other, with one line for each and the whole output of what fails.

The end-to-end suite is the longest, and waits for controllers a good part of its time. The others run one after another
beside it, where the processor is free. `.test/` keeps what each suite printed, and how long each test took.

What failed is run once more when nothing else runs any more. A test that passes then waited for less than a busy
machine needs: it is named as unsteady and is to be mended, and whoever changed something else is not held up by it.
`--all`, the nightly run, accepts no second try.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread

from tests import unchanged

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".test"
STAND_INS = "test-stand-ins"
# Targets of the Makefile. The first lane goes first where both want the processor.
LANES = (
    ("tools", "test-e2e"),
    ("lint", "types", "test-unit", "test-browser", "test-policy", STAND_INS),
)
_HEARTBEAT_SECONDS = 60.0
_PER_CENT = re.compile(r"\[ *(\d+)%\]\s*$")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)


@dataclass
class Run:
    """What has run and what runs."""

    everything: bool
    began: float = field(default_factory=time.monotonic)
    failed: list[str] = field(default_factory=list[str])
    running: dict[str, float] = field(default_factory=dict[str, float])
    interrupted: bool = False
    _lock: Lock = field(default_factory=Lock)

    def say(self, text: str) -> None:
        """One line, of whichever lane."""
        with self._lock:
            print(f"{_clock(time.monotonic() - self.began)}  {text}", flush=True)

    def lane(self, targets: tuple[str, ...], niceness: int) -> None:
        """Run targets one after another; the next one whatever became of the last."""
        for target in targets:
            if not self.interrupted:
                self._suite(target, niceness)

    def _suite(self, target: str, niceness: int) -> None:
        state = unchanged.state() if target == STAND_INS else ""
        if state and not self.everything and (when := unchanged.passed(target, state)):
            self.say(
                f"{target}: not run. It passed at {when:%F %R} UTC on these very files and tools; ALL=1 runs it too"
            )
            return
        log(target).touch()
        began = self.running[target] = time.monotonic()
        code = self._make(target, niceness)
        del self.running[target]
        took = _clock(time.monotonic() - began)
        if code == 0:
            self.say(f"{target}: passed in {took}")
            for line in _relied_on(target):
                self.say(f"{target}: {line}")
            if state:
                unchanged.remember(target, state)
            return
        self.failed.append(target)
        self.say(f"{target}: FAILED after {took}\n{log(target).read_text(errors='replace')}")

    def once_more(self) -> None:
        """Run the tests that failed again, alone. A suite of which all pass counts as passed, and they are named."""
        for target in [target for target in self.failed if unsteady(target)]:
            tests = unsteady(target)
            self.say(f"{target}: {len(tests)} failed; once more, with nothing beside them")
            log(target).replace(log(f"{target}.first"))
            began = self.running[target] = time.monotonic()
            code = self._make(target, 0, "AGAIN=1")
            del self.running[target]
            took = _clock(time.monotonic() - began)
            if code:
                self.say(f"{target}: FAILED again after {took}\n{log(target).read_text(errors='replace')}")
                continue
            self.failed.remove(target)
            self.say(f"{target}: passed in {took}, the second time")
            for test in tests:
                self.say(f"{target}: unsteady: {test}")

    def _make(self, target: str, niceness: int, *variables: str) -> int:
        command = [os.environ.get("MAKE", "make"), "--no-print-directory", target, *variables]
        with log(target).open("wb") as output:
            return subprocess.run(
                ["nice", "-n", str(niceness), *command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode

    def progress(self) -> str:
        """What runs, for how long, and how far it is."""
        now = time.monotonic()
        return ", ".join(f"{name} {_clock(now - since)}{_share(name)}" for name, since in [*self.running.items()])


def log(target: str) -> Path:
    """What a suite prints."""
    return RESULTS / f"{target}.log"


def unsteady(target: str) -> list[str]:
    """The tests of a suite that failed; none where the suite is no tests, or ended for another reason."""
    return _FAILED.findall(log(target).read_text(errors="replace")) if target.startswith("test-") else []


def _relied_on(target: str) -> list[str]:
    """What a suite says that it did not do again."""
    return [line for line in log(target).read_text(errors="replace").splitlines() if line.startswith("kept: ")]


def _share(target: str) -> str:
    found = [
        match[1] for line in log(target).read_text(errors="replace").splitlines() if (match := _PER_CENT.search(line))
    ]
    return f" ({found[-1]} %)" if found else ""


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> int:
    """Run everything: 0 when all of it passed, 1 when something failed, 130 when somebody stopped it."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("--all", action="store_true", help="run what passed on these files, too, and nothing twice")
    run = Run(everything=parser.parse_args().all)
    RESULTS.mkdir(exist_ok=True)
    lanes = [Thread(target=run.lane, args=(targets, 19 * place)) for place, targets in enumerate(LANES)]
    for lane in lanes:
        lane.start()
    try:
        while any(lane.is_alive() for lane in lanes):
            _wait(lanes, _HEARTBEAT_SECONDS)
            if run.running:
                run.say(f"running: {run.progress()}")
        if not run.everything:
            run.once_more()
    except KeyboardInterrupt:
        # The suites were told as well: they stop what they started.
        run.interrupted = True
        for lane in lanes:
            lane.join()
        return 130
    run.say(f"failed: {', '.join(run.failed)}" if run.failed else "all of it passed")
    return 1 if run.failed else 0


def _wait(lanes: list[Thread], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(lane.is_alive() for lane in lanes) and time.monotonic() < end:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
