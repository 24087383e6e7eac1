"""The files of secrets that a service file names, and that are not there for the container that names them."""

import re
from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from components.service.file.directory import read_services
from tests.unit.service.test_directory import OPEN, SMALL, write

pytestmark = pytest.mark.unit

SECRETS = "secrets: {smtp: {generate: [key]}, store: {generate: [key], file: store.conf}}\n"
WRONG = [
    ("env: {SMTP_FILE: /vault/secrets/smpt}", "env.SMTP_FILE", "smpt"),
    ("env: {STORE_FILE: /vault/secrets/store}", "env.STORE_FILE", "store"),
    ("env: {URI: 'file:/vault/secrets/other.json'}", "env.URI", "other.json"),
    ("env: {DB_FILE: /vault/secrets/tls/key}", "env.DB_FILE", "tls"),
    ("command: [serve, --key=/vault/secrets/key]", "command[1]", "key"),
    ("args: [a, b, /vault/secrets/key]", "args[2]", "key"),
    ('config: {files: {a.yaml: "a: 1\\nb: /vault/secrets/key."}}', "config.files.a.yaml", "key"),
    ("probes: {readiness: {command: [test, -f, /vault/secrets/key]}}", "probes.readiness.command[2]", "key"),
    ("init: {i: {command: [cp, /vault/secrets/smtp, /tmp]}}", "init.i.command[1]", "smtp"),
    ("sidecars: {s: {port: 9000, env: {F: /vault/secrets/smtp}}}", "sidecars.s.env.F", "smtp"),
    (
        "sidecars: {s: {port: 9000, secrets: [smtp], probes: {startup: {command: [cat, /vault/secrets/store.conf]}}}}",
        "sidecars.s.probes.startup.command[1]",
        "store.conf",
    ),
    ("jobs: {night: {command: [a, /vault/secrets/smtp]}}", "jobs.night.command[1]", "smtp"),
]
RIGHT = [
    "env: {A: /vault/secrets/smtp, B: 'x,/vault/secrets/store.conf', C: /vault/secrets, D: /vault/secrets/}",
    "command: [sh, -c, 'cat /vault/secrets/smtp /vault/secrets/store.conf; ls /vault/secrets/*']",
    "command: [sh, -c, 'cat /vault/secrets/$NAME /vault/secrets/s* /vault/secrets/db-*.conf /vault/secrets/db${N}']",
    "args: [/data/vault/secrets/other, 'It is in /vault/secrets/smtp.']",
    "sidecars: {s: {port: 9000, secrets: [smtp], env: {F: /vault/secrets/smtp}}}",
    "jobs: {night: {command: [a, /vault/secrets/smtp], secrets: [smtp]}}",
    # A job has the service's variables, and need not heed them.
    "env: {A: /vault/secrets/smtp}\njobs: {night: {command: [a]}}",
]


@pytest.mark.parametrize(("text", "key", "name"), WRONG)
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, text: str, key: str, name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_services(write(tmp_path, web=f"{SMALL}{SECRETS}{text}\n"), OPEN)
    [problem] = raised.value.problems
    found = rf"services/web\.yaml:\d+: {re.escape(key)}: no secret or database .*, found '/vault/secrets/{name}'"
    assert re.search(found, str(problem)), problem


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_there_passes_and_so_does_what_only_the_program_knows(tmp_path: Path, text: str) -> None:
    assert read_services(write(tmp_path, web=f"{SMALL}{SECRETS}{text}\n"), OPEN)


def test_what_is_legal_are_the_files_of_that_container(tmp_path: Path) -> None:
    text = f"{SMALL}{SECRETS}sidecars: {{s: {{port: 9000, secrets: [store], env: {{F: /vault/secrets/smtp}}}}}}\n"
    with pytest.raises(ConfigError, match=r"legal: /vault/secrets/store\.conf$"):
        read_services(write(tmp_path, web=text), OPEN)
