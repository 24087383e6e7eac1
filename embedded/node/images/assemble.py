"""Assembles the archive of an image in the cache, anew when anything in it changed."""

from pathlib import Path

from embedded.node.images.archive import Content, write_archive
from embedded.node.images.table import Image
from embedded.paths import cache_dir
from embedded.toolchain.debian import unpacked
from embedded.toolchain.keys import digest


def archive_of(image: Image, reference: str, tools: Path) -> Path:
    """The archive of an image under the name of a reference. Raises ``ToolchainError`` when a package is missing."""
    files = {place: (source(tools), mode) for place, (source, mode) in image.files.items()}
    trees = {place: source(tools) for place, source in image.trees.items()}
    key = digest(
        repr((image.name, reference, image.entrypoint, image.links, image.debian, image.without)),
        repr((image.environment, image.user)),
        *(f"{place}={_state(path)}" for place, (path, _) in sorted(files.items())),
        *(f"{place}={path}" for place, path in sorted(trees.items())),
    )
    place = cache_dir() / "images" / f"{image.name}-{key}.tar"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        roots = {"/": unpacked(f"root-{image.name}", image.debian, closed=True)} if image.debian else {}
        content = Content(trees={**roots, **trees}, files=files, links=image.links, without=image.without)
        config = {
            "Entrypoint": list(image.entrypoint),
            "Env": list(image.environment),
            "WorkingDir": image.directory,
            "User": image.user,
        }
        write_archive(place, reference, content, config)
        _remove_former(place, image)
    return place


def _state(path: Path) -> str:
    resolved = path.resolve()
    found = resolved.stat()
    return f"{resolved}:{found.st_size}:{found.st_mtime_ns}"


def _remove_former(place: Path, image: Image) -> None:
    for other in place.parent.glob(f"{image.name}-*.tar"):
        if other != place:
            other.unlink(missing_ok=True)
