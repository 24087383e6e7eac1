"""An OCI registry on loopback, with images and their cosign signatures.

Formats: https://github.com/opencontainers/distribution-spec/blob/main/spec.md and
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
"""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

Manifest = dict[str, Any]
_OCI = "application/vnd.oci.image"
_HELM = "application/vnd.cncf.helm"


class Registry:
    """What is stored, by tag and digest. `host` is its name in an image."""

    def __init__(self) -> None:
        self.host = ""
        self.content: dict[str, bytes] = {}

    def push(self, tag: str, content: bytes, media_type: str, annotations: dict[str, str]) -> str:
        """Store an image of one layer, and return its digest."""
        digest = f"sha256:{sha256(content).hexdigest()}"
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
        return self._push(tag, content, media_type, annotations, (config, f"{_OCI}.config.v1+json"))

    def push_chart(self, tag: str, archive: bytes, about: Manifest) -> str:
        """Store a chart as Helm does, and return its digest. https://helm.sh/docs/topics/registries/"""
        config = (about, f"{_HELM}.config.v1+json")
        return self._push(tag, archive, f"{_HELM}.chart.content.v1.tar+gzip", {}, config)

    def _push(
        self, tag: str, content: bytes, media_type: str, annotations: dict[str, str], config: tuple[Manifest, str]
    ) -> str:
        layer = self._blob(content, media_type) | {"annotations": annotations}
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._blob(json.dumps(config[0]).encode(), config[1]),
            "layers": [layer],
        }
        self.content[tag] = json.dumps(manifest).encode()
        return self._blob(self.content[tag], manifest["mediaType"])["digest"]

    def push_image(self, tag: str) -> str:
        return self.push(tag, tag.encode(), f"{_OCI}.layer.v1.tar", {})

    def sign(self, digest: str, key: ec.EllipticCurvePrivateKey, signed_digest: str = "") -> None:
        """Store a signature beside an image: over its own digest, or over another's."""
        image = {"docker-manifest-digest": signed_digest or digest}
        critical = {"identity": {"docker-reference": ""}, "image": image, "type": "cosign container image signature"}
        payload = json.dumps({"critical": critical, "optional": None}).encode()
        signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
        self.push(
            f"{digest.replace(':', '-')}.sig",
            payload,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            {"dev.cosignproject.cosign/signature": signature},
        )

    def _blob(self, content: bytes, media_type: str) -> Manifest:
        digest = f"sha256:{sha256(content).hexdigest()}"
        self.content[digest] = content
        return {"mediaType": media_type, "size": len(content), "digest": digest}


@contextmanager
def serving(registry: Registry, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve the registry on a free port of loopback, where many clients take plain HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = b"{}" if self.path == "/v2/" else registry.content.get(self.path.rpartition("/")[2])
            self.send_response(404 if found is None else 200)
            body = found or b""
            manifest = "/manifests/" in self.path
            self.send_header("Content-Type", f"{_OCI}.manifest.v1+json" if manifest else "application/octet-stream")
            self.send_header("Docker-Content-Digest", f"sha256:{sha256(body).hexdigest()}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
            """Say nothing: a missing signature is no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    registry.host = f"localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
