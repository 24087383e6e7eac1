"""Charts of repositories, over TLS on loopback, by the real helm: what was reviewed is what is rendered."""

import hashlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml

from components.kube.charts import ChartSources
from components.package.file.directory import parse_package
from components.package.rendered.helm import Renderer, RenderError, pinned
from components.service.file.layers import Layers
from embedded.toolchain import ensure
from tests.policy.oci_registry import Registry, serving
from tests.support.packages import CHART, CHART_FILE

pytestmark = pytest.mark.policy

NAME, VERSION = "guestbook", "1.4.0"
NOWHERE = f"sha256:{'0' * 64}"


@dataclass
class Repositories:
    """A repository with an index, and a registry, which have the same chart."""

    content: Registry
    archive: bytes
    oci_digest: str

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Each one's address and the chart's digest there."""
        digest = f"sha256:{hashlib.sha256(self.archive).hexdigest()}"
        return {
            "https": (f"https://{self.content.host}", digest),
            "oci": (f"oci://{self.content.host}/charts", self.oci_digest),
        }


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real helm, and a cache that is empty."""
    monkeypatch.setenv("PATH", f"{ensure(['helm'], progress=False)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "helm"))


@pytest.fixture
def repositories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Repositories]:
    subprocess.run(
        ["helm", "package", str(CHART), "--version", VERSION, "--destination", str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    archive = (tmp_path / f"{NAME}-{VERSION}.tgz").read_bytes()
    authority, content = trustme.CA(), Registry()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    about = yaml.safe_load((CHART / "Chart.yaml").read_text()) | {"version": VERSION}
    with serving(content, context):
        entry = {**about, "urls": [f"https://{content.host}/{NAME}-{VERSION}.tgz"]}
        index = {"apiVersion": "v1", "entries": {NAME: [entry]}}
        content.content |= {"index.yaml": yaml.safe_dump(index).encode(), f"{NAME}-{VERSION}.tgz": archive}
        yield Repositories(content, archive, content.push_chart(VERSION, archive, about))


def rendered(root: Path, repository: str, digest: str) -> list[str]:
    """The kinds of the objects of the chart of a repository."""
    chart = {"name": NAME, "repository": repository, "version": VERSION, "digest": digest}
    spec = parse_package(Layers("packages/guestbook.yaml", yaml.safe_dump({**CHART_FILE, "chart": chart}))).spec
    return [made["kind"] for made in Renderer(root, ChartSources()).manifests(spec)]


@pytest.mark.parametrize("kind", ["https", "oci"])
class TestAPull:
    def test_renders_what_has_the_digest_of_the_file(
        self, repositories: Repositories, tmp_path: Path, kind: str
    ) -> None:
        made = rendered(tmp_path, *repositories.places[kind])
        assert {"Deployment", "StatefulSet", "Service", "Job"} <= {*made}

    def test_is_done_once(self, repositories: Repositories, tmp_path: Path, kind: str) -> None:
        first = rendered(tmp_path, *repositories.places[kind])
        repositories.content.content.clear()
        assert rendered(tmp_path, *repositories.places[kind]) == first

    def test_with_another_digest_is_refused(self, repositories: Repositories, tmp_path: Path, kind: str) -> None:
        repository, _ = repositories.places[kind]
        with pytest.raises(RenderError) as caught:
            rendered(tmp_path, repository, NOWHERE)
        assert NOWHERE in f"{caught.value} {caught.value.value}"

    def test_is_pinned_by_the_digest_that_is_there(self, repositories: Repositories, tmp_path: Path, kind: str) -> None:
        repository, digest = repositories.places[kind]
        found = pinned(Renderer(tmp_path, ChartSources()), NAME, repository, VERSION)
        assert found == {"name": NAME, "repository": repository, "version": VERSION, "digest": digest}


def test_an_archive_that_was_replaced_under_its_version_is_refused(repositories: Repositories, tmp_path: Path) -> None:
    repository, digest = repositories.places["https"]
    repositories.content.content[f"{NAME}-{VERSION}.tgz"] = repositories.archive + b"\0"
    with pytest.raises(RenderError, match=r"what .* has is sha256:"):
        rendered(tmp_path, repository, digest)


def test_a_kept_archive_that_somebody_changed_is_pulled_again(repositories: Repositories, tmp_path: Path) -> None:
    repository, digest = repositories.places["https"]
    first = rendered(tmp_path, repository, digest)
    [kept] = (tmp_path / "cache").rglob("*.tgz")
    kept.write_bytes(b"nothing")
    assert rendered(tmp_path, repository, digest) == first
    assert kept.read_bytes() == repositories.archive


def test_a_repository_that_is_not_there_says_so(repositories: Repositories, tmp_path: Path) -> None:
    repositories.content.content.clear()
    with pytest.raises(RenderError, match="helm pull ended with status 1"):
        rendered(tmp_path, *repositories.places["https"])
