"""Reads parts of an object that the API server sent, as the program itself does. An absent part is empty."""

from components.kube.parts import Manifest, part, parts, texts, word

__all__ = ["Manifest", "part", "parts", "texts", "word"]
