"""The arguments of secrets that a service has as environment variables."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.service.file.secret_env import SecretEnvSpec


@dataclass(frozen=True)
class SecretVariable:
    """A variable with the value of a field of one of the service's secrets."""

    name: str
    secret: str
    field: str

    @property
    def file(self) -> str:
        """The file with the value alone. No other file begins with a dot, and no directory's name has two."""
        return f".env.{self.name}"

    @property
    def template(self) -> str:
        """The template of that file."""
        return f"{{{{ .Data.data.{self.field} }}}}"


@dataclass(frozen=True)
class SecretEnvArgs:
    """The variables, the shell in the image that sets them, and the first day without them as an ISO date.

    Without an `expires` there are none.
    """

    variables: Sequence[SecretVariable] = ()
    shell: str = "/bin/sh"
    expires: str = ""


def secret_env_args(spec: SecretEnvSpec | None) -> SecretEnvArgs:
    """The arguments of the section in a service file."""
    if spec is None:
        return SecretEnvArgs()
    variables = [SecretVariable(name, *source) for name, source in sorted(spec.sources().items())]
    return SecretEnvArgs(variables, spec.shell, spec.expires.isoformat())
