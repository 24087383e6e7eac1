"""Secrets as environment variables: what a file may say, the shell that sets them, and where the files come from."""

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.schema.problem import ConfigError
from components.service.args.jobs import JobArgs
from components.service.args.resolve import services_args
from components.service.args.secret_env import SecretEnvArgs, SecretVariable
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, check_services, parse_service, read_services
from components.service.manifests.external_secrets import external_secret
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.secret_env import script
from components.service.manifests.vault import injector_annotations
from components.service.manifests.workload import deployment_spec
from components.vault.terms import Delivery
from tests.support.consents import agreeing
from tests.support.stacks import platform, service
from tests.unit.service.test_directory import SMALL, write
from tests.unit.service.test_secure_service import run

pytestmark = pytest.mark.unit

DAYS = "reason: the image reads variables alone, owner: commerce, granted: 2026-11-01, expires: 2026-12-01"
COMMAND = "command: [bin/serve]\n"
SECRET = "secrets: {db: {generate: [password], values: {host: h}}}\n"
SET = f"secretEnv: {{variables: {{DB_PASSWORD: db/password}}, {DAYS}}}\n"
VARIABLE = SecretVariable("DB_PASSWORD", "database", "password")


def file(**section: object) -> str:
    days = {"reason": "the image reads variables alone", "owner": "commerce"}
    wanted = {"variables": {"DB_PASSWORD": "db/password"}, **days, "granted": date(2026, 11, 1)}
    return yaml.safe_dump({"secretEnv": {**wanted, "expires": date(2026, 12, 1), **section}})


def shell(path: str) -> dict[str, object]:
    return {"shell": path}


def made(**more: Any) -> SecureServiceArgs:
    env = SecretEnvArgs([VARIABLE], expires="2026-12-01")
    return service(**{"secret_env": env, "command": ["bin/serve"], "arguments": ["--fast"], **more})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SECRET + SET, r"command: required with secretEnv"),
        (COMMAND + SET, r"secretEnv\.variables\.DB_PASSWORD: no secret of this service, found a value that"),
        (
            COMMAND + SECRET + file(variables={"A": "db/user"}),
            r"variables\.A: no field of the secret, found 'db/user'; legal: db/host, db/password",
        ),
        (COMMAND + SECRET + file(variables={"A": "password"}), "write secret/field"),
        (COMMAND + SECRET + file(variables={"a-b": "db/password"}), "not a variable of a shell"),
        (COMMAND + SECRET + file(variables={}), "fewer than 1"),
        (COMMAND + SECRET + file(**shell("sh")), "absolute path"),
        (COMMAND + SECRET + file(expires=date(2026, 10, 1)), "not after granted"),
        (COMMAND + SECRET + file(reason="why"), "shorter than 10"),
        (COMMAND + SECRET + SET + "podEnv: {DB_PASSWORD: name}\n", "a variable of that name: keep one"),
        (COMMAND + SECRET + SET + "env: {node.name: a}\n", r"env\.node\.name: not a variable of a shell .* no other"),
        (COMMAND + SECRET + SET + "podEnv: {a-b: name}\n", r"podEnv\.a-b: not a variable of a shell .* no other"),
        (
            COMMAND + SECRET + SET.replace("DB_PASSWORD", "db.password"),
            r"secretEnv\.variables\.db\.password: not a variable of a shell",
        ),
        (
            COMMAND + SECRET + SET + "jobs: {m: {secrets: [db]}}\n",
            r"jobs\.m\.command: required with secretEnv",
        ),
    ],
)
def test_what_can_not_work_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(SMALL + text, "services/x.yaml")


def test_a_job_that_reads_no_such_secret_needs_no_command() -> None:
    assert parse_service(SMALL + COMMAND + SECRET + SET + "jobs: {m: {}}\n", "services/x.yaml")


@pytest.mark.parametrize(
    ("days", "error"),
    [
        ({"expires": date(2027, 3, 1)}, r"secretEnv\.expires: 120 days, 90 at most"),
        ({"expires": date(2026, 11, 20)}, r"secretEnv\.expires: expired as of 2026-11-29"),
        ({"granted": date(2026, 11, 30)}, r"secretEnv\.granted: 2026-11-30 is in the future"),
    ],
)
def test_its_days_are_those_of_an_exception(tmp_path: Path, days: dict[str, date], error: str) -> None:
    folder = write(tmp_path, a=SMALL + COMMAND + SECRET + file(**days))
    with pytest.raises(ConfigError, match=error):
        read_services(folder, Admission((), api_server_reachable=True, as_of=lambda: date(2026, 11, 29)))


def test_a_field_of_anothers_secret_is_looked_up_there(tmp_path: Path) -> None:
    owner = SMALL + "secrets: {auth: {generate: [password], readers: [a]}}\n"
    reader = SMALL + COMMAND + "secrets: {db: {from: redis/auth}}\n"
    for field, right in (("password", True), ("user", False)):
        (tmp_path / field).mkdir()
        files = agreeing({"a": reader + file(variables={"A": f"db/{field}"}), "redis": owner})
        folder = write(tmp_path / field, **files)
        if right:
            assert read_services(folder, Admission((), api_server_reachable=True))
            continue
        with pytest.raises(ConfigError, match=r"secretEnv\.variables\.A: no field of the secret.*legal: db/password"):
            read_services(folder, Admission((), api_server_reachable=True))


def test_without_an_agent_nothing_writes_the_files() -> None:
    files = [parse_service(SMALL + COMMAND + SECRET + SET, "services/x.yaml")]
    admission = Admission((), api_server_reachable=True, delivery=Delivery.APPLICATION)
    (problem,) = check_services(files, admission)
    assert "secretEnv: no agent writes files" in str(problem)


class TestThePod:
    def test_the_shell_becomes_the_program_and_the_spec_has_no_secret(self) -> None:
        (container,) = deployment_spec(made())["template"]["spec"]["containers"]
        shell, flag, text, name, *program = container["command"]
        assert (shell, flag, name, program) == ("/bin/sh", "-ec", "sh", ["bin/serve"])
        assert container["args"] == ["--fast"]
        assert "DB_PASSWORD" not in [each["name"] for each in container.get("env", [])]
        assert "/vault/secrets/.env.DB_PASSWORD" in text

    def test_a_service_without_variables_is_as_before(self) -> None:
        (container,) = deployment_spec(service(command=["bin/serve"]))["template"]["spec"]["containers"]
        assert container["command"] == ["bin/serve"]

    def test_the_agent_writes_a_file_for_each_variable(self) -> None:
        notes = injector_annotations(made())
        prefix = "vault.hashicorp.com/agent-inject"
        assert notes[f"{prefix}-file-env.0"] == ".env.DB_PASSWORD"
        assert notes[f"{prefix}-secret-env.0"] == notes[f"{prefix}-secret-database"]
        assert notes[f"{prefix}-perms-env.0"] == "0400"
        assert "{{ .Data.data.password }}" in notes[f"{prefix}-template-env.0"]

    def test_a_job_has_the_variables_of_the_secrets_that_it_reads(self) -> None:
        args = made(jobs=[JobArgs("m", command=["m"], secrets=["database"]), JobArgs("n", command=["n"])])
        commands = [
            job_spec(workload_of(args, job))["template"]["spec"]["containers"][0]["command"] for job in args.jobs
        ]
        assert commands[0][0] == "/bin/sh"
        assert commands[1] == ["n"]

    def test_a_stack_without_vault_has_the_same_files(self) -> None:
        recorded = run(made(platform=platform(vault=False, injection=False)))
        data = recorded.one("kubernetes:core/v1:Secret").inputs["stringData"]
        assert set(data) == {"database", ".env.DB_PASSWORD"}
        assert data[".env.DB_PASSWORD"].endswith("\n")
        volumes = recorded.one("Deployment").inputs["spec"]["template"]["spec"]["volumes"]
        (secret,) = [volume["secret"] for volume in volumes if "secret" in volume]
        assert [item["path"] for item in secret["items"]] == ["database", ".env.DB_PASSWORD"]

    def test_the_operators_copy_has_them_too(self) -> None:
        args = made()
        template = external_secret(args, args.secrets[0])["spec"]["target"]["template"]["data"]
        assert template[".env.DB_PASSWORD"] == "{{ .password }}\n"

    def test_the_arguments_need_a_program_too(self) -> None:
        with pytest.raises(ValueError, match=r"command: required with secret_env"):
            replace(made(), command=[])


def ran(shell: list[str], values: dict[str, str], root: Path) -> dict[str, str]:
    """The environment of a program that the shell becomes, with these values in the files that the agent writes."""
    variables = [SecretVariable(name, "s", "f") for name in values]
    for each in variables:
        # The agent ends a file with a line end of its own.
        (root / each.file).write_bytes(values[each.name].encode() + b"\n")
    text = script(variables).replace("/vault/secrets", str(root))
    done = subprocess.run(
        [*shell, "-ec", text, "sh", "/usr/bin/env", "-0"], env={"A": "b"}, capture_output=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)


SHELLS = (["/bin/sh"], ["/bin/bash"], ["/bin/bash", "--posix"])


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25, deadline=None)
@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_any_value_arrives_as_it_is(tmp_path_factory: pytest.TempPathFactory, shell: list[str], value: str) -> None:
    values = {"DB_PASSWORD": value, "EVIL": "\"; touch x; $(id) `id` '\\\n\n"}
    found = ran(shell, values, tmp_path_factory.mktemp("secrets"))
    assert found == {"A": "b", **values, **{key: found[key] for key in ("PWD", "SHLVL", "_", "OLDPWD") if key in found}}


def test_a_missing_file_ends_the_shell(tmp_path: Path) -> None:
    text = script([VARIABLE]).replace("/vault/secrets", str(tmp_path))
    done = subprocess.run(
        ["/bin/sh", "-ec", text, "sh", "/bin/echo", "started"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_whole_of_a_file_reaches_the_arguments() -> None:
    text = SMALL + COMMAND + SECRET + file(**shell("/opt/shell/sh"))
    (args,) = services_args([parse_service(text, "services/x.yaml").spec], platform(), 1)
    assert args.secret_env == SecretEnvArgs(
        [SecretVariable("DB_PASSWORD", "db", "password")], "/opt/shell/sh", "2026-12-01"
    )
