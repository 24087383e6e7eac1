"""A container whose shell reads files with secrets into its environment, and then becomes the program.

Nothing but what every POSIX shell has built in is used, so that a static shell alone is enough.
"""

from collections.abc import Sequence

from components.service.args.secret_env import SecretVariable
from components.service.args.service import SecureServiceArgs

SECRETS_DIRECTORY = "/vault/secrets"

# A value is taken as it is, lines and quotes included; the last line end of a file is not part of it.
_READ = """\
zt_read() {
  zt_value= zt_end=
  while IFS= read -r zt_line || [ -n "$zt_line" ]; do
    zt_value="$zt_value$zt_end$zt_line"
    zt_end="
"
  done < "$1"
}
"""
_BECOME = 'unset zt_value zt_end zt_line\nunset -f zt_read\nexec "$@"\n'


def secret_variables(args: SecureServiceArgs) -> list[SecretVariable]:
    """The variables of a workload: those whose secrets it reads."""
    read = {secret.name for secret in args.secrets}
    return [variable for variable in args.secret_env.variables if variable.secret in read]


def variables_of(args: SecureServiceArgs, secret: str) -> list[SecretVariable]:
    """The variables with fields of one secret."""
    return [variable for variable in secret_variables(args) if variable.secret == secret]


def command(args: SecureServiceArgs) -> list[str]:
    """The command of the application's container: the shell with the program behind it, or the program itself."""
    if variables := secret_variables(args):
        # A shell names itself by the word behind its script.
        return [args.secret_env.shell, "-ec", script(variables), "sh", *args.command]
    return list(args.command)


def script(variables: Sequence[SecretVariable]) -> str:
    """What the shell runs. It ends with an error where a file is missing."""
    reads = [f'zt_read {SECRETS_DIRECTORY}/{each.file}\nexport {each.name}="$zt_value"\n' for each in variables]
    return "".join([_READ, *reads, _BECOME])
