"""Writes the facts of one of this checkout's stacks, for the `zt diff` of any older or newer checkout.

    python -B -m zt.facts <stack>

It runs in a separate process with the checkout as the working directory. It writes one JSON object in ASCII,
`{"version": 5, "side": {...}}`, whose `side` is a `zt.facts.model.Side`. Exit codes: 0 done; 2 the program refuses its
files, and the standard error has its message; anything else: it failed, and the standard error says why.

`python -m zt.facts`, its argument, its exit codes, the two keys and the meaning of `version` are a contract: the
`zt diff` of a later checkout runs this command in an older one, so it must not move. `VERSION` rises with every new
kind of fact and every new field of one, since a reader of the version before does not know it.
"""

import contextlib
import json
import sys
from pathlib import Path

VERSION = 5
CHECKOUT = Path(__file__).resolve().parents[2]

DONE, REFUSED, FAILED = 0, 2, 1


def main(*arguments: str) -> int:
    """Write the facts of a stack to the standard output, and return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -B -m zt.facts <stack>\n")
        return FAILED
    # If this module came from another checkout, both sides would have the same facts and nothing would differ.
    if Path.cwd() != CHECKOUT:
        sys.stderr.write(f"this zt.facts is the one of {CHECKOUT}, and not of {Path.cwd()}\n")
        return FAILED
    with contextlib.redirect_stdout(sys.stderr):
        from components.schema.problem import ConfigError
        from zt.facts.model import SIDE
        from zt.facts.read import side_of

        try:
            side = side_of(CHECKOUT, arguments[0])
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            return REFUSED
    sys.stdout.write(json.dumps({"version": VERSION, "side": SIDE.dump_python(side, mode="json")}))
    return DONE
