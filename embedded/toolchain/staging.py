"""Fills a directory of the cache in one step: whoever looks finds all of it, or nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(place: Path) -> Iterator[Path]:
    """A fresh directory that becomes ``place`` when the block ends. What else is put beside it is removed then.

    When another process was first, its directory stays and an ``OSError`` here no longer matters.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        fresh = Path(scratch) / place.name
        fresh.mkdir()
        try:
            yield fresh
            fresh.rename(place)
        except OSError:
            # A directory is not replaced by another one.
            if not place.exists():
                raise
