"""What is beside the cluster: charts, images, the issuer, names; asked as a fake web answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.kube.charts import GATEWAY_API_CRDS
from components.kube.images import IMAGES
from tests.unit.zt.preflight.stack import CREATED, FakeCluster, FakeWeb, lines, made_object, one, resources, session
from zt.preflight.checks import charts, images, public
from zt.preflight.created import Created
from zt.preflight.line import Line, Result
from zt.preflight.registry import image
from zt.preflight.web import Reply, Request, UnreachedError, UntrustedError

INDEX = "https://kyverno.github.io/kyverno/index.yaml"
QUAY = "https://quay.io/v2/jetstack/charts/cert-manager/manifests/v1.21.2"
DIGEST = f"sha256:{'a' * 64}"


def index(**entries: list[str]) -> Reply:
    return Reply(200, {}, json.dumps({"entries": {name: [{"version": v} for v in vs] for name, vs in entries.items()}}))


def chart(project: str, web: FakeWeb, **settings: Any) -> list[Line]:
    changes: Any = {"charts": settings} if settings else {}
    return lines(charts.THEME, session(web=web, **changes), f"charts-{project}")


@pytest.mark.parametrize(
    ("reply", "result", "word"),
    [
        (index(kyverno=["3.9.0", "3.9.1"]), "ok", "https://kyverno.github.io/kyverno"),
        (index(kyverno=["v3.9.1"]), "ok", ""),
        (index(kyverno=["3.9.0"]), "fails", "another version of it"),
        (index(other=["3.9.1"]), "fails", "no such chart"),
        (Reply(200, {}, "<html>"), "fails", "no index of charts"),
        (Reply(200, {}, "a: ["), "fails", "no index of charts"),
        (Reply(404), "fails", "404"),
        (Reply(403), "not checked", "asks for credentials"),
        (UnreachedError("no answer in 5 seconds"), "fails", "does not answer: no answer in 5 seconds"),
    ],
)
def test_a_repository_with_an_index(reply: Any, result: str, word: str) -> None:
    (line,) = chart("kyverno", FakeWeb({INDEX: reply}))
    assert (line.result.value, word in line.found) == (result, True), line
    assert result != "fails" or "charts.repositories.kyverno in Pulumi.production.yaml" in line.fix


def test_the_index_of_a_project_is_asked_for_once() -> None:
    web = FakeWeb({"https://mirror.example.org/istio/index.yaml": index(base=["1.31.0"], istiod=["1.31.0"])})
    found = chart("istio", web, repositories={"istio": "https://mirror.example.org/istio"})
    assert [line.result for line in found] == [Result.OK, Result.OK]
    assert len(web.requests) == 1


def registry(second: Reply) -> FakeWeb:
    """A public registry: it refuses whoever has no token, and gives one to everybody."""
    challenge = 'Bearer realm="https://quay.io/v2/auth",service="quay.io",scope="repository:jetstack/charts:pull"'

    def manifest(request: Request) -> Reply:
        known = request.headers.get("Authorization") == "Bearer given"
        return second if known else Reply(401, {"www-authenticate": challenge})

    token = "https://quay.io/v2/auth?scope=repository%3Ajetstack%2Fcharts%3Apull&service=quay.io"
    return FakeWeb({QUAY: manifest, token: Reply(200, {}, '{"token": "given"}')})


@pytest.mark.parametrize(
    ("web", "result", "word"),
    [
        (registry(Reply(200, {"docker-content-digest": DIGEST})), "ok", "quay.io/jetstack/charts/cert-manager:v1.21.2"),
        (registry(Reply(404)), "fails", "404"),
        (registry(Reply(403)), "not checked", "asks for credentials"),
        (FakeWeb({QUAY: Reply(200)}), "ok", "quay.io"),
        (FakeWeb({QUAY: Reply(401, {"www-authenticate": 'Basic realm="x"'})}), "not checked", "credentials"),
        (FakeWeb({QUAY: Reply(401, {"www-authenticate": 'Bearer realm="http://x"'})}), "not checked", "credentials"),
        (FakeWeb(), "fails", "does not answer"),
    ],
)
def test_a_registry(web: FakeWeb, result: str, word: str) -> None:
    (line,) = chart("cert-manager", web)
    assert (line.result.value, word in line.found) == (result, True), line


@pytest.mark.parametrize(("there", "result"), [(DIGEST, "ok"), (f"sha256:{'b' * 64}", "fails")])
def test_the_digest_of_a_chart(there: str, result: str) -> None:
    web = registry(Reply(200, {"docker-content-digest": there}))
    (line,) = chart("cert-manager", web, digests={"cert-manager": DIGEST})
    assert line.result == result
    assert result == "ok" or "charts.digests.cert-manager" in line.fix


@pytest.mark.parametrize(
    ("text", "result", "word"),
    [
        ("name: kyverno\nversion: 3.9.1\n", "ok", "kyverno"),
        ("name: kyverno\nversion: 3.8.0\n", "fails", "of version 3.8.0"),
        ("a: [", "fails", "no YAML"),
        (None, "fails", "No such file"),
    ],
)
def test_a_directory_of_charts(tmp_path: Path, text: str | None, result: str, word: str) -> None:
    (tmp_path / "kyverno").mkdir()
    if text is not None:
        (tmp_path / "kyverno" / "Chart.yaml").write_text(text)
    web = FakeWeb()
    (line,) = chart("kyverno", web, directory=str(tmp_path))
    assert (line.result.value, word in line.found) == (result, True), line
    assert result == "ok" or "helm pull kyverno --repo https://kyverno.github.io/kyverno --version 3.9.1" in line.fix
    assert not web.requests


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (f"    gateway.networking.k8s.io/bundle-version: {GATEWAY_API_CRDS.version}\n", "ok"),
        ("    gateway.networking.k8s.io/bundle-version: v1.0.0\n", "fails"),
        (None, "fails"),
    ],
)
def test_the_definitions_of_the_gateway_api_in_the_directory(tmp_path: Path, text: str | None, result: str) -> None:
    if text is not None:
        (tmp_path / "gateway-api.yaml").write_text(text)
    assert one(charts.THEME, "gateway-api", session(charts={"directory": str(tmp_path)})).result == result


@pytest.mark.parametrize(
    ("reply", "result"), [(Reply(200), "ok"), (Reply(404), "fails"), (UnreachedError("refused"), "fails")]
)
def test_the_definitions_of_the_gateway_api_at_their_address(reply: Any, result: str) -> None:
    line = one(charts.THEME, "gateway-api", session(web=FakeWeb({GATEWAY_API_CRDS.url: reply})))
    assert (line.result.value, result == "ok" or "charts.gatewayApi" in line.fix) == (result, True)


def test_a_stack_asks_for_the_charts_that_it_takes() -> None:
    assert {line.about for line in lines(charts.THEME, session())} == {
        "chart kyverno 3.9.1",
        "charts base 1.31.0, istiod 1.31.0",
        "chart cert-manager v1.21.2",
        "chart vault 0.34.1",
        "definitions of the Gateway API v1.6.0",
    }
    assert not lines(charts.THEME, session("local", created=Created()))


@pytest.mark.parametrize(
    ("name", "artifact"),
    [
        ("registry.example.org/shop/api:v1.2.3", ("registry.example.org", "shop/api", "v1.2.3")),
        (f"registry.example.org/a@{DIGEST}", ("registry.example.org", "a", DIGEST)),
        (f"registry.example.org:5000/a:v1@{DIGEST}", ("registry.example.org:5000", "a", DIGEST)),
    ],
)
def test_the_parts_of_an_image(name: str, artifact: tuple[str, str, str]) -> None:
    made = image(name)
    assert (made.registry, made.repository, made.reference) == artifact


def test_images() -> None:
    base = "https://registry.example.org/v2/shop"
    at = {f"{base}/api/manifests/v1.2.3": Reply(200), f"{base}/redis/manifests/8.2.1": Reply(404)}
    web = FakeWeb({**at, f"{base}/postgres/manifests/17.6": Reply(401, {"www-authenticate": 'Basic realm="x"'})})
    found = {line.about.partition(":")[0]: line.result.value for line in lines(images.THEME, session(web=web))}
    assert found == {
        "image registry.example.org/shop/api": "ok",
        "image registry.example.org/shop/postgres": "not checked",
        "image registry.example.org/shop/redis": "warns",
    }
    assert {line.result for line in lines(images.THEME, session())} == {Result.WARNS}


def test_the_images_of_the_layers_in_a_mirror() -> None:
    asked = FakeWeb({})
    found = lines(images.THEME, session(web=asked, kyverno={"hub": "mirror.example.org/k"}), "mirrored-images")
    names = {name.rpartition("/")[2] for name in IMAGES["kyverno"]}
    assert {line.about for line in found} == {f"image mirror.example.org/k/{name}" for name in names}
    assert {line.result for line in found} == {Result.WARNS}
    assert not lines(images.THEME, session(web=asked), "mirrored-images")


LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


@pytest.mark.parametrize(
    ("reply", "result", "word"),
    [
        (Reply(200, {}, '{"newAccount": "https://x"}'), "ok", ""),
        (Reply(200, {}, "<html>"), "fails", "no ACME directory"),
        (UnreachedError("no answer in 5 seconds"), "fails", "does not answer"),
        (UntrustedError("self-signed"), "fails", "not trusted"),
    ],
)
def test_the_directory_of_the_acme_server(reply: Any, result: str, word: str) -> None:
    line = one(public.THEME, "acme-directory", session(web=FakeWeb({LETSENCRYPT: reply})))
    assert (line.result.value, word in line.found) == (result, True), line


def test_another_acme_server_is_asked_instead() -> None:
    own = {
        "kind": "gateway-api",
        "acmeEmail": "a@example.org",
        "acmeServer": {"directory": "https://acme.example.org/d"},
    }
    web = FakeWeb({"https://acme.example.org/d": Reply(200, {}, '{"newAccount": "x"}')})
    of = session(web=web, ingress=own)
    assert one(public.THEME, "acme-directory", of).result is Result.OK
    # It may take any address.
    assert one(public.THEME, "acme-email", of).result is Result.OK


@pytest.mark.parametrize(("email", "result"), [("platform@example.org", "fails"), ("ops@shop.dev", "ok")])
def test_the_address_of_the_placeholder_is_refused(email: str, result: str) -> None:
    assert one(public.THEME, "acme-email", session(ingress={"acmeEmail": email})).result == result


def test_the_names_of_public_hosts() -> None:
    assert one(public.THEME, "dns", session()).result is Result.WARNS
    line = one(public.THEME, "dns", session(hosts={"api.example.org": ("192.0.2.1",)}))
    assert (line.result, line.found) == (Result.OK, "leads to 192.0.2.1")


def test_an_address_for_the_gateway_is_not_checked() -> None:
    assert one(public.THEME, "load-balancer", session()).result is Result.NOT_CHECKED


AUTOSCALER = made_object("autoscaling/v2", "HorizontalPodAutoscaler", "api", "shop")


@pytest.mark.parametrize(("served", "result"), [(True, "ok"), (False, "fails")])
def test_metrics_where_a_service_has_autoscaling(served: bool, result: str) -> None:
    at = {"/apis/metrics.k8s.io/v1beta1": resources("NodeMetrics", "PodMetrics")} if served else {}
    of = session(cluster=FakeCluster(at), created=Created((*CREATED.objects, AUTOSCALER)))
    line = one(public.THEME, "metrics", of)
    assert (line.result.value, "shop/api" in line.found) == (result, True)
    assert not lines(public.THEME, session(), "metrics")


@pytest.mark.parametrize(
    ("secret", "result"),
    [(None, "warns"), ({"data": {"tls.crt": "x"}}, "fails"), ({"data": {"tls.crt": "x", "tls.key": "y"}}, "ok")],
)
def test_the_authority_of_the_issuer(secret: Any, result: str) -> None:
    path = "/api/v1/namespaces/cert-manager/secrets/our-ca"
    changes: Any = {
        "ingress": {"ca": {"keyPair": "our-ca"}},
        "posture": {"issuer": {"value": "ca", "reason": "a test"}},
    }
    of = session(cluster=FakeCluster({} if secret is None else {path: secret}), **changes)
    assert one(public.THEME, "issuer-ca", of).result == result
