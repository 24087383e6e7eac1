"""Kubernetes objects, Helm's releases and whole files of objects, as resources of Pulumi's Kubernetes provider.

The SDK has a class for each kind, too. It takes a run half as much time again to load them, and to convert every object
to their types and back (docs/explanation/speed.md). https://www.pulumi.com/registry/packages/kubernetes/
"""

import os
from importlib.metadata import version
from typing import Any

import pulumi

from components.kube.manifest import Manifest
from components.kube.ownership import applied_by

# Whatever Pulumi's state holds of these is encrypted.
_OF_SECRET = ("data", "stringData")


class KubernetesProvider(pulumi.ProviderResource):
    """The provider of the cluster that the kubeconfig leads to, in its current context.

    With the SDK's own class each definition of the Gateway API would be asked for and converted again at each run: what
    a file's objects came to is then an output of typed resources, which nobody reads.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kubernetes", name, {"kubeconfig": os.environ.get("KUBECONFIG")}, _options(opts))


class KubernetesObject(pulumi.CustomResource):
    """One object, as its manifest says: with `apiVersion`, `kind` and `metadata`, and values that may be outputs.

    What the manifest says of a field wins over whoever else wrote it.
    """

    def __init__(self, name: str, manifest: Manifest, opts: pulumi.ResourceOptions | None = None) -> None:
        api, kind = manifest["apiVersion"], manifest["kind"]
        options, inputs = _options(opts), _marked(manifest, _marks())
        if kind == "Secret":
            inputs |= {key: _secret(manifest.get(key)) for key in _OF_SECRET}
            options.additional_secret_outputs = [*_OF_SECRET]
        super().__init__(f"kubernetes:{api if '/' in api else f'core/{api}'}:{kind}", name, inputs, options)


class Release(pulumi.CustomResource):
    """A release of a Helm chart, with the fields of
    https://www.pulumi.com/registry/packages/kubernetes/api-docs/helm/v3/release/
    """

    def __init__(self, name: str, fields: Manifest, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kubernetes:helm.sh/v3:Release", name, {**fields, "compat": "true"}, _options(opts))


class ConfigFile(pulumi.ComponentResource):
    """All the objects of a YAML file, given by its path or address, which the provider reads.

    As with `KubernetesObject`, what the file says of a field wins.
    """

    def __init__(self, name: str, file: str, opts: pulumi.ResourceOptions | None = None) -> None:
        marks = _marks()

        def mark(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
            props = dict(args.props)
            return pulumi.ResourceTransformResult(_marked(props, marks), args.opts) if "metadata" in props else None

        marking = pulumi.ResourceOptions.merge(_options(opts), pulumi.ResourceOptions(transforms=[mark]))
        super().__init__("kubernetes:yaml/v2:ConfigFile", name, {"file": file}, marking, remote=True)


def _marks() -> dict[str, str]:
    return applied_by(pulumi.get_project(), pulumi.get_stack())


def _marked(manifest: Manifest, marks: dict[str, str]) -> Manifest:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **marks}}}


def _secret(value: Any) -> pulumi.Output[Any] | None:
    return None if value is None else pulumi.Output.secret(value)


def _options(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """The options, with the version of the provider for a resource that is given none."""
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=version("pulumi-kubernetes")), opts)
