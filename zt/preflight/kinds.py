"""The resource of a kind, as the program itself knows it."""

from components.kube.resources import Resource, plural, resource_of

__all__ = ["Resource", "plural", "resource_of"]
