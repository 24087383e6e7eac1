"""A copy of a chart without the files of which nothing but definitions comes.

A large chart is mostly definitions of its own kinds. No value mends one, and Helm reads all of them at each rendering.
"""

import re
import shutil
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from components.package.file.keys import PackageSpec
from components.package.rendered.helm import Renderer, RenderError
from components.package.rendered.objects import DEFINITION

_SOURCE = re.compile(r"^# Source: (\S+)$", re.MULTILINE)
_KIND = re.compile(r"^kind: *['\"]?(\w+)", re.MULTILINE)
_CHART = "chart"


@contextmanager
def lean(renderer: Renderer, spec: PackageSpec) -> Generator[tuple[Renderer, PackageSpec]]:
    """The renderer and the package of such a copy; the chart itself if a copy does not come to the same objects.

    Raises `RenderError` for a chart that does not render.
    """
    if spec.chart is None:
        yield renderer, spec
        return
    with TemporaryDirectory(prefix="zero-trust-chart-") as name:
        copied = Path(name) / _CHART
        place = renderer.chart(spec.chart, Path(name))
        _copy(place, copied)
        for file in definitions(renderer.text(spec)):
            (copied / file).unlink(missing_ok=True)
        of_copy = spec.chart.model_copy(update={"folder": _CHART})
        other = Renderer(Path(name), renderer.charts), spec.model_copy(update={"chart": of_copy})
        yield other if _same(renderer, spec, *other) else (renderer, spec)


def definitions(rendered: str) -> list[PurePosixPath]:
    """The files of a chart from which only definitions come, by the text that Helm renders."""
    kinds: dict[str, set[str]] = {}
    source = ""
    for document in re.split(r"^---$", rendered, flags=re.MULTILINE):
        written, kind = _SOURCE.search(document), _KIND.search(document)
        source = written[1] if written else source
        if kind:
            kinds.setdefault(source, set()).add(kind[1])
    # The first part is the chart's name.
    return [PurePosixPath(*PurePosixPath(file).parts[1:]) for file, found in kinds.items() if found == {DEFINITION}]


def _copy(place: Path, into: Path) -> None:
    if place.is_dir():
        shutil.copytree(place, into, copy_function=shutil.copyfile)
        return
    with tarfile.open(place) as archive:
        archive.extractall(unpacked := into.with_name("unpacked"), filter="data")
    [folder] = unpacked.iterdir()
    folder.rename(into)


def _same(renderer: Renderer, spec: PackageSpec, other: Renderer, of_copy: PackageSpec) -> bool:
    try:
        made = other.manifests(of_copy, steady=False)
    except RenderError:
        return False
    whole, copied = (
        [each for each in every if each["kind"] != DEFINITION]
        for every in (renderer.manifests(spec, steady=False), made)
    )
    return whole == copied
