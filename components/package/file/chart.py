"""The sections `chart`, `manifests`, `values`, `without` and `grants` of a package file: what is brought, and how."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Self, cast

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.config.charts import Digest, Repository
from components.schema.fields import Label
from components.schema.problem import UNREPEATED, Key
from components.schema.timed_exception import CRITICAL_DAYS, TimedException
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.environment import problem_with_value

FOLDER = "packages"
"""The folder of a project with the package files, and with the charts and manifests that it keeps itself."""
_REMOTE = ("repository", "version", "digest")


def _folder(value: str) -> str:
    path = PurePosixPath(value)
    if ".." in path.parts or str(path) != value or path.parts[0] != FOLDER or len(path.parts) < 2:
        raise ValueError(f"not a folder below {FOLDER}/, such as {FOLDER}/podinfo")
    return value


def _chart_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?", value):
        raise ValueError("not the name of a chart: lower-case letters, digits and hyphens, 53 at most")
    return value


def _object_name(value: str) -> str:
    # RBAC allows colons beside what a DNS subdomain has:
    # https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-creation-or-update
    if not re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9.:_]{0,251}[A-Za-z0-9])?", value):
        raise ValueError("not the full name of an object (no wildcard)")
    return value


def _kind(value: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{1,62}", value):
        raise ValueError("not a kind, such as ClusterRole")
    return value


Folder = Annotated[StrictStr, AfterValidator(_folder)]
ObjectName = Annotated[StrictStr, AfterValidator(_object_name)]
Kind = Annotated[StrictStr, AfterValidator(_kind)]
Version = Annotated[StrictStr, Field(pattern=r"^v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]


class ChartSpec(TypedFile):
    """A Helm chart: of a repository at one version and digest, or in a folder."""

    name: Annotated[StrictStr, AfterValidator(_chart_name)] | None = None
    """Its name in the repository."""
    repository: Repository | None = None
    """The repository of charts, https:// or oci://."""
    version: Version | None = None
    """The version, in full."""
    digest: Digest | None = None
    """Its digest: that of the archive in the `index.yaml` of the repository, or of the manifest in an OCI registry.
    What is downloaded is compared with it."""
    folder: Folder | None = None
    """In place of these: a folder below `packages/` with the chart itself, such as `packages/podinfo`."""
    kubernetes: Version | None = None
    """The Kubernetes version that it is rendered for; by default the oldest that the platform takes, 1.30.0."""
    apis: tuple[StrictStr, ...] = ()
    """API versions that it asks the cluster for, such as `monitoring.coreos.com/v1`."""

    @model_validator(mode="after")
    def _from_one_place(self) -> Self:
        written = [key for key in ("name", *_REMOTE) if getattr(self, key) is not None]
        if self.folder is not None and written:
            raise misplaced([written[0]], "the chart is in a folder: keep one", UNREPEATED)
        if self.folder is None:
            for key in ("name", *_REMOTE):
                if key not in written:
                    raise misplaced([key], "missing: a chart has name, repository, version and digest, or folder", None)
        return self


class GrantSpec(TimedException):
    """Objects of the chart that a package may not bring otherwise, for a limited time."""

    kind: Kind
    """Their kind, such as `ClusterRole` or `CustomResourceDefinition`."""
    names: tuple[ObjectName, ...] = Field(min_length=1)
    """Their names, each in full."""
    namespace: Label | None = None
    """The namespace that they are in, if that is not the package's."""

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        if self.days > CRITICAL_DAYS:
            return "expires", f"{self.days} days, {CRITICAL_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


class LeftOutSpec(TypedFile):
    """An object of the chart that is left out."""

    kind: Kind
    name: ObjectName


def secret_values(values: Mapping[str, object], above: Key = ()) -> Iterator[tuple[Key, str]]:
    """The values that look like a secret, by their keys below `values`, each with what it looks like."""
    for key, value in values.items():
        yield from _secrets_in(value, (*above, key))


def _secrets_in(value: object, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(value, dict):
        yield from secret_values(cast("Mapping[str, object]", value), key)
    elif isinstance(value, list):
        for number, item in enumerate(cast("list[object]", value)):
            yield from _secrets_in(item, (*key, number))
    elif isinstance(value, str) and (problem := problem_with_value(value)):
        yield key, problem
