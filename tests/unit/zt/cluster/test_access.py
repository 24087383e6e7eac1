"""Reading a cluster: pages, a snapshot that expires between them, kinds that are not served, errors in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import urllib3.exceptions
from kubernetes.client import ApiException

from embedded.paths import STATE_VARIABLE
from zt.cluster.access import Access, ClusterError, LiveCluster, connect
from zt.cluster.compliance import Metadata, Owner

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://api.test:6443"}}]
contexts: [{name: here, context: {cluster: c, user: u}}, {name: there, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: abc}}]
current-context: here
"""


class Answer:
    def __init__(self, status: int, body: object) -> None:
        self.status, self.body = status, body

    def read(self) -> bytes:
        return json.dumps(self.body).encode()


class Client:
    """The two methods of the official client that are used, with a list of answers."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any], str]] = []

    def param_serialize(self, method: str, path: str, **told: Any) -> tuple[Any, ...]:
        assert method == "GET"
        assert told["auth_settings"] == ["BearerToken"]
        self.asked.append((path, dict(told["query_params"]), told["header_params"]["Accept"]))
        return method, path, told["header_params"], None, []

    def call_api(self, *_: object, _request_timeout: object) -> Answer:
        assert _request_timeout
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def page(*items: str | dict[str, Any], token: str = "") -> Answer:
    objects = [named(item) if isinstance(item, str) else item for item in items]
    return Answer(200, {"items": objects, "metadata": {"continue": token} if token else {}})


GONE, MISSING = Answer(410, {"message": "expired"}), Answer(404, {"message": "no"})
APPS = Answer(
    200,
    {
        "resources": [
            {"name": "deployments/status", "kind": "Deployment"},
            {"name": "deployments", "kind": "Deployment"},
        ]
    },
)


def cluster(*answers: Answer | Exception) -> tuple[LiveCluster, Client]:
    client = Client(*answers)
    return LiveCluster(client, "context here (https://api.test:6443)"), client


class TestReports:
    def test_both_kinds_are_read_page_by_page(self) -> None:
        reader, client = cluster(page("a", "b", token="more"), page("c"), page("d"))
        assert list(reader.reports()) == [named(name) for name in "abcd"]
        base = "/apis/wgpolicyk8s.io/v1alpha2"
        assert client.asked == [
            (f"{base}/policyreports", {"limit": 500}, "application/json"),
            (f"{base}/policyreports", {"limit": 500, "continue": "more"}, "application/json"),
            (f"{base}/clusterpolicyreports", {"limit": 500}, "application/json"),
        ]

    def test_a_snapshot_that_expired_is_read_again_whole(self) -> None:
        reader, client = cluster(page("a", token="more"), GONE, page("a", "b"), page())
        assert list(reader.reports()) == [named("a"), named("b")]
        assert client.asked[2][1] == {"limit": 0}

    def test_a_cluster_without_reports_has_none(self) -> None:
        reader, _ = cluster(MISSING, MISSING)
        assert list(reader.reports()) == []


class TestMetadata:
    def test_a_kind_is_found_by_discovery_and_its_metadata_alone_is_read(self) -> None:
        owners = [{"kind": "X", "name": "x"}, {"kind": "Rollout", "name": "r", "controller": True}]
        made = [
            {"metadata": {"uid": "1", "name": "api", "labels": {"team": "t"}}},
            {"metadata": {"uid": "2", "name": "r-1", "ownerReferences": owners}},
        ]
        reader, client = cluster(APPS, page(*made))
        assert reader.metadata("apps/v1", "Deployment") == {
            "1": Metadata("api", {"team": "t"}),
            "2": Metadata("r-1", {}, Owner("Rollout", "r")),
        }
        assert [asked[0] for asked in client.asked] == ["/apis/apps/v1", "/apis/apps/v1/deployments"]
        assert client.asked[1][2].startswith("application/json;as=PartialObjectMetadataList")

    def test_the_core_group_has_a_path_of_its_own(self) -> None:
        reader, client = cluster(Answer(200, {"resources": [{"name": "pods", "kind": "Pod"}]}), page())
        assert reader.metadata("v1", "Pod") == {}
        assert [asked[0] for asked in client.asked] == ["/api/v1", "/api/v1/pods"]

    def test_a_group_or_kind_that_is_no_longer_served_has_no_objects(self) -> None:
        reader, _ = cluster(MISSING, APPS)
        assert reader.metadata("gone/v1", "Thing") == {}
        assert reader.metadata("apps/v1", "Thing") == {}

    def test_a_group_is_discovered_once(self) -> None:
        reader, client = cluster(APPS, page(), page())
        reader.metadata("apps/v1", "Deployment")
        reader.metadata("apps/v1", "Deployment")
        assert [asked[0] for asked in client.asked].count("/apis/apps/v1") == 1


class TestErrors:
    @pytest.mark.parametrize(
        "error",
        [
            urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.HTTPError("refused\nhere")),  # type: ignore[arg-type]  # no pool here
            ApiException(status=0, reason="refused\nhere"),
        ],
    )
    def test_an_unreachable_cluster_is_one_line_with_its_place(self, error: Exception) -> None:
        reader, _ = cluster(error)
        with pytest.raises(ClusterError) as caught:
            list(reader.reports())
        assert str(caught.value) == "context here (https://api.test:6443) cannot be reached: refused here"

    @pytest.mark.parametrize(
        ("body", "reason"), [({"message": "pods is forbidden"}, "403 pods is forbidden"), ([], "403")]
    )
    def test_a_refusal_names_what_was_asked(self, body: object, reason: str) -> None:
        reader, _ = cluster(Answer(403, body))
        with pytest.raises(ClusterError, match=rf"refused to show /apis/wgpolicyk8s\.io/\S+: {reason}$"):
            list(reader.reports())


class TestConnect:
    @pytest.fixture
    def kubeconfig(self, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        path.write_text(KUBECONFIG)
        return path

    def test_the_place_is_context_and_server(self, kubeconfig: Path) -> None:
        assert connect(Access(kubeconfig)).where == "context here (https://api.test:6443)"
        assert connect(Access(kubeconfig, "there")).where == "context there (https://api.test:6443)"

    def test_the_callers_kubeconfig_is_the_default(self, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
        assert "api.test" in connect(Access()).where

    def test_the_embedded_one_is_that_of_the_state_directory(
        self, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(kubeconfig.parent))
        assert "api.test" in connect(Access(embedded=True)).where

    def test_an_embedded_one_that_is_not_there_says_how_to_start_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "none"))
        with pytest.raises(ClusterError, match="make up"):
            connect(Access(embedded=True))

    @pytest.mark.parametrize("text", ["just text", "[]", "{", "apiVersion: v1\nkind: Config\n"])
    def test_a_file_that_is_no_kubeconfig(self, kubeconfig: Path, text: str) -> None:
        kubeconfig.write_text(text)
        with pytest.raises(ClusterError, match=str(kubeconfig)):
            connect(Access(kubeconfig))

    def test_a_context_that_is_not_there(self, kubeconfig: Path) -> None:
        with pytest.raises(ClusterError, match="nowhere"):
            connect(Access(kubeconfig, "nowhere"))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ClusterError, match="there is no kubeconfig"):
            connect(Access(tmp_path / "none"))
