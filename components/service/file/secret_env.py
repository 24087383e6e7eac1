"""The section `secretEnv` of a service file: secrets as environment variables, for an image that reads no files.

A shell in the container reads the files that Vault's agent writes, and becomes the program. So no secret is in the
pod's spec, in etcd or in what `kubectl` shows; but the program's environment is there for each of its children, its
crash reports and whoever may read `/proc` as its user. A variable keeps its value when the secret changes.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field, StrictStr

from components.schema.fields import DNS_LABEL, AbsolutePath, Day
from components.schema.shape import Shape
from components.schema.timed_exception import CRITICAL_DAYS, TimedException
from components.schema.typed_file import misplaced
from components.service.file.environment import ShellName, shell_name
from components.service.file.jobs import JobSpec
from components.service.file.secrets import SecretSpec

_SOURCE = re.compile(rf"{DNS_LABEL}/[a-z][a-z0-9_]*")


def _source(value: str) -> str:
    if not _SOURCE.fullmatch(value):
        raise ValueError("not a field of a secret: write secret/field")
    return value


Source = Annotated[StrictStr, AfterValidator(_source), Shape(_SOURCE.pattern)]


class SecretEnvSpec(TimedException):
    """Secrets as environment variables, for a limited time: of the service's own container, and of its jobs that read
    them. A secret that changes is in them when the pods start again."""

    variables: dict[ShellName, Annotated[StrictStr, AfterValidator(_source), Shape(_SOURCE.pattern)]] = Field(
        min_length=1
    )
    """The variables, each with a field of one of `secrets`, as `secret/field`."""
    shell: AbsolutePath = "/bin/sh"
    """The shell of the image. One without a shell takes a static one from a container under `init` and `scratch`."""
    expires: Day
    """The first day without them; at most 90 days after `granted`."""

    def sources(self) -> Mapping[str, tuple[str, str]]:
        """The secret and the field of each variable."""
        parts = {name: source.partition("/") for name, source in self.variables.items()}
        return {name: (secret, field) for name, (secret, _, field) in parts.items()}

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        if self.days > CRITICAL_DAYS:
            return "expires", f"{self.days} days, {CRITICAL_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


class _Keys(Protocol):
    """The keys of a service file that this section depends on."""

    @property
    def secret_env(self) -> SecretEnvSpec | None: ...
    @property
    def secrets(self) -> Mapping[str, SecretSpec]: ...
    @property
    def jobs(self) -> Mapping[str, JobSpec]: ...
    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def pod_env(self) -> Mapping[str, str]: ...


_WITHOUT_PROGRAM = "required with secretEnv: the shell has to be told what to become, since it takes the image's place"


def check_secret_env(keys: _Keys) -> None:
    """Raise the problem of a variable without a field, or of a container whose program is not said."""
    if keys.secret_env is None:
        return
    sources = keys.secret_env.sources()
    for name, (secret, field) in sources.items():
        place = ["secretEnv", "variables", name]
        kept = keys.secrets.get(secret)
        if kept is None:
            legal = sorted(f"{each}/{one}" for each, spec in keys.secrets.items() for one in spec.fields)
            raise misplaced(place, "no secret of this service", f"{secret}/{field}", legal)
        # Those of another's secret are in its file, which is checked when all files are read.
        if kept.from_ is None and field not in kept.fields:
            raise misplaced(
                place, "no field of the secret", f"{secret}/{field}", [f"{secret}/{f}" for f in kept.fields]
            )
        if name in keys.env or name in keys.pod_env:
            raise misplaced(place, "env or podEnv has a variable of that name: keep one", name)
    _check_shell_names(keys)
    if not keys.command:
        raise misplaced(["command"], _WITHOUT_PROGRAM, "none")
    for name, job in keys.jobs.items():
        if not job.command and any(secret in job.secrets for secret, _ in sources.values()):
            raise misplaced(["jobs", name, "command"], _WITHOUT_PROGRAM, "none")


def _check_shell_names(keys: _Keys) -> None:
    for key, names in (("env", keys.env), ("podEnv", keys.pod_env)):
        for name in names:
            try:
                shell_name(name)
            except ValueError as error:
                message = f"{error}. The shell of secretEnv hands on no other"
                raise misplaced([key, name], message, name) from error
