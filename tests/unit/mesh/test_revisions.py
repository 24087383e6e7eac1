"""Tags, revisions and the root namespace of an Istio that others installed."""

from dataclasses import replace

import pytest

from tests.support.installed import INJECTOR_CONFIG, MESH_CONFIG, Living, changed, hook, istio
from tests.unit.mesh.test_existing import ARGS, INJECTORS, OTHERS, of_revision, only, root, said, space

pytestmark = pytest.mark.unit


class TestTags:
    """A tag stands for a revision: `istioctl tag set prod-stable --revision 1-31-0`."""

    ARGS = replace(ARGS, revision="prod-stable")

    def living(self, tag: str = "prod-stable", policy: str = "Fail") -> Living:
        labels = {"istio.io/rev": "1-31-0", "istio.io/tag": tag}
        living = of_revision("1-31-0")
        living.at[INJECTORS].append(hook(f"istio-revision-tag-{tag}", "istio-system", policy, **labels))
        return living

    def test_its_revision_is_asked(self) -> None:
        living = self.living()
        assert not said(living, args=self.ARGS)
        container = living.deployment("istiod")["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "ENABLE_NATIVE_SIDECARS", "value": "false"}]
        assert "ENABLE_NATIVE_SIDECARS is false" in only(living, "native sidecars", self.ARGS)
        path = f"{INJECTOR_CONFIG}-1-31-0"
        other = changed(self.living(), path, "values", global__tag="1.30.2")
        assert "1.30.2" in only(other, "image of the proxy", self.ARGS)

    def test_the_default_tag_is_for_whoever_names_no_revision(self) -> None:
        assert not said(self.living("default"))

    def test_its_own_webhook_injects(self) -> None:
        about = "injector of the revision"
        assert "fails open" in only(self.living(policy="Ignore"), about, self.ARGS)
        # That of the revision is for others.
        living = self.living()
        living.at[INJECTORS][0]["webhooks"][0]["failurePolicy"] = "Ignore"
        assert not said(living, args=self.ARGS)

    def test_one_of_another_control_plane_is_not_this_one(self) -> None:
        living = self.living()
        living.at[INJECTORS][1]["webhooks"][0]["clientConfig"]["service"]["namespace"] = "istio-other"
        assert "istiod of revision prod-stable" in said(living, args=self.ARGS)

    @pytest.mark.parametrize("name", ["prod-stable", "1-31-0"])
    def test_members_by_the_tag_and_by_the_revision_are_in_the_mesh(self, name: str) -> None:
        living = self.living().with_("/api/v1/namespaces", [space("legacy", **{"istio.io/rev": name})])
        assert "legacy" in only(living, OTHERS, self.ARGS)


class TestRootNamespace:
    """`meshConfig.rootNamespace`, where it is not that of istiod."""

    ARGS = replace(ARGS, root="istio-config")

    def living(self) -> Living:
        living = changed(istio(), MESH_CONFIG, "mesh", rootNamespace="istio-config")
        living.at["/api/v1/namespaces/istio-config"] = space("istio-config")
        return living

    def test_it_has_to_be_the_one_that_the_mesh_has(self) -> None:
        assert not said(self.living(), args=self.ARGS)
        assert "mesh.rootNamespace in the stack file" in only(self.living(), "meshConfig.rootNamespace")
        assert "istio-system, not istio-config" in said(istio(), args=self.ARGS)["meshConfig.rootNamespace"]

    def test_it_has_to_be_there(self) -> None:
        living = self.living()
        del living.at["/api/v1/namespaces/istio-config"]
        assert "no namespace istio-config" in only(living, "root namespace of the mesh", self.ARGS)

    def test_what_others_have_there_holds_for_everybody(self) -> None:
        there = {"metadata": {"name": "old", "namespace": "istio-config"}, "spec": {}}
        path = "/apis/security.istio.io/v1/namespaces/{}/peerauthentications"
        living = self.living().with_(path.format("istio-config"), [there])
        assert "istio-config/old" in only(living, "mesh-wide peerauthentications of others", self.ARGS)
        assert not said(self.living().with_(path.format("istio-system"), [root("old")]), args=self.ARGS)

    @pytest.mark.parametrize(("root_of_the_other", "reached"), [("istio-system", True), ("istio-two", False)])
    def test_each_istiod_with_the_same_one_is_in_the_mesh(self, root_of_the_other: str, reached: bool) -> None:
        living = istio().with_("/api/v1/namespaces", [space("legacy", **{"istio.io/rev": "two"})])
        living.at[INJECTORS].append(hook("istio-sidecar-injector-two", "istio-two", **{"istio.io/rev": "two"}))
        config = {"data": {"mesh": f"rootNamespace: {root_of_the_other}"}}
        living.at["/api/v1/namespaces/istio-two/configmaps/istio-two"] = config
        assert (OTHERS in said(living)) is reached
