"""The date of the commit that is checked out: exceptions expire by it."""

import os
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

from components.schema.problem import ConfigError, Problem


def commit_date(root: Path) -> date:
    """The date of the commit that is checked out, in UTC, so that the plan of a commit never changes.

    Raises `ConfigError` when git fails, such as outside a checkout.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        message = "exceptions expire by the date of the commit, and git has none here: set it to a date (YYYY-MM-DD)"
        raise ConfigError([Problem("the stack file", "zero-trust:asOf", message)]) from error
    return datetime.fromtimestamp(int(git.stdout), UTC).date()
