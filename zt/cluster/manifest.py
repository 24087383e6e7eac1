"""Reads parts of an object that the API server sent, as the program itself does. An absent part is empty."""

from collections.abc import Iterator

from components.kube.parts import Manifest, part, parts, texts, word

__all__ = ["Manifest", "containers", "part", "parts", "texts", "word"]


def containers(pod: Manifest) -> Iterator[Manifest]:
    """Every container of a pod."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from parts(pod, "spec", group)
