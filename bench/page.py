"""The page `bench/README.md`, written by `make docs` from the accepted figures."""

from bench.figures import table

_PAGE = """# Bench

{generated}
What a person waits for, as ratios against a peer in the same run, as CPU time or as seconds, on a machine that does
nothing else. Where the time goes, and what was tried, is in [speed](../docs/explanation/speed.md).

{table}

<!-- not run: boots control planes of its own, and measures for an hour -->

    make bench                                   # all but the cold set-up
    .venv/bin/python -m bench --services 1 10    # fewer services
    .venv/bin/python -m bench.cold               # what a machine without any cache compiles

Each run writes all that it measured to `bench/results/`, row by row, with the machine and the versions.
`python -m bench.figures accept FILE` takes its figures over into this page; `python -m bench.figures compare FILE` ends
with 1 when a ratio is more than a tenth above the accepted one, as `make bench-ratios` does every night.
"""


def page(generated: str) -> str:
    """The text of the page; `generated` is the comment that says so."""
    return _PAGE.format(generated=generated, table=table())
