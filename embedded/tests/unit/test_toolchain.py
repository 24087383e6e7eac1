"""The toolchain's table, keys, search for an official Pulumi, links, chart edits, and the state directory."""

import os
import re
import stat
from pathlib import Path

import pytest

from embedded.paths import State, cache_dir, state_dir
from embedded.toolchain import build, charts, keys, provide, records
from embedded.toolchain.official import find_official
from embedded.toolchain.progress import Progress
from embedded.toolchain.table import (
    CLUSTER,
    CLUSTER_OF_NODE,
    EXTERNAL_SECRETS,
    LANGUAGE_PYTHON,
    LANGUAGE_YAML,
    PULUMI,
    TOOLS,
    TOOLS_DIRECTORY,
    Exchanged,
    Module,
    Tool,
    select,
)

pytestmark = pytest.mark.unit

REPOSITORY = TOOLS_DIRECTORY.parent.parent


def go_mod(module: Module) -> str:
    return (module.directory / "go.mod").read_text()


def pinned(module: Module, path: str) -> str:
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", go_mod(module), re.MULTILINE)
    assert found, f"{path} is not in {module.name}/go.mod"
    return found[1]


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZERO_TRUST_CACHE", str(tmp_path / "cache"))
    return cache_dir()


class TestTable:
    def test_names_are_unique(self):
        assert len({tool.name for tool in TOOLS}) == len(TOOLS)

    def test_names_of_one_build_do_not_collide(self):
        for module in (CLUSTER, PULUMI, LANGUAGE_PYTHON):
            names = [tool.built_name for tool in TOOLS if tool.module == module and not tool.script]
            assert len(set(names)) == len(names)

    @pytest.mark.parametrize(
        "tool", [tool for tool in TOOLS if not tool.script and not tool.module.sums], ids=lambda tool: tool.name
    )
    def test_every_compiled_tool_is_a_tool_of_its_module(self, tool: Tool):
        assert re.search(rf"^\s*(?:tool )?{re.escape(tool.package)}$", go_mod(tool.module), re.MULTILINE)

    def test_every_module_is_locked(self):
        for module in {tool.module for tool in TOOLS}:
            assert (module.directory / "go.sum").stat().st_size > 0

    def test_what_few_ask_for_has_the_versions_of_all_others(self):
        assert keys.module_key(CLUSTER_OF_NODE) != keys.module_key(CLUSTER)
        assert CLUSTER_OF_NODE.directory == CLUSTER.directory
        sums = (CLUSTER.directory / str(CLUSTER_OF_NODE.sums)).read_text().splitlines()
        assert sums
        assert not set(sums) & set((CLUSTER.directory / "go.sum").read_text().splitlines())

    def test_the_copy_that_is_built_has_all_sums(self, tmp_path: Path):
        kubelet = next(tool for tool in TOOLS if tool.name == "kubelet")
        directory = build._build_copy(CLUSTER_OF_NODE, [kubelet], tmp_path)
        sums = (directory / "go.sum").read_text()
        assert sums.startswith((CLUSTER.directory / "go.sum").read_text())
        assert sums.endswith((CLUSTER.directory / "node.sum").read_text())

    def test_only_who_asks_for_the_node_or_for_yaml_builds_it(self):
        assert not {"node", "yaml"} & {tool.group for tool in select(None)}
        assert {"kubelet", "containerd", "runc"} <= {tool.name for tool in select(["node"])}
        assert [tool.name for tool in select(["yaml"])] == ["pulumi-language-yaml"]

    @pytest.mark.parametrize("path", ["github.com/pulumi/pulumi/pkg/v3", "github.com/pulumi/pulumi/sdk/v3"])
    def test_the_yaml_language_host_is_of_the_cli_s_release(self, path: str):
        assert pinned(LANGUAGE_YAML, path) == pinned(PULUMI, path)

    def test_linker_variables_say_the_pinned_versions(self):
        assert f"Version={pinned(PULUMI, 'github.com/pulumi/pulumi/sdk/v3')}" in PULUMI.ldflags
        assert f"gitVersion={pinned(CLUSTER, 'k8s.io/kubernetes')}" in CLUSTER.ldflags
        assert f"AppVersion={pinned(CLUSTER, 'github.com/cert-manager/cert-manager')}" in CLUSTER.ldflags

    def test_provider_and_its_python_sdk_are_one_release(self):
        source = (PULUMI.directory / "pulumi-resource-kubernetes" / "main.go").read_text()
        version = re.search(r'Version = "([^"]+)"', source)
        assert version
        assert f'"pulumi-kubernetes=={version[1]}",\n' in (REPOSITORY / "pyproject.toml").read_text()

    def test_own_sources_exist(self):
        for tool in TOOLS:
            assert bool(keys.source_files(tool)) == bool(tool.sources)

    @pytest.mark.parametrize(
        ("package", "name"),
        [
            ("go.etcd.io/etcd/server/v3", "server"),
            ("sigs.k8s.io/kwok/cmd/kwok", "kwok"),
            ("example.org/vault", "vault"),
        ],
    )
    def test_built_name_is_what_go_gives(self, package: str, name: str):
        assert Tool("x", CLUSTER, package, "cluster").built_name == name

    def test_select_takes_tools_and_groups_in_order(self):
        assert [tool.name for tool in select(["pulumi", "etcd"])][:2] == ["etcd", "pulumi"]
        assert {tool.name for tool in select(["policy"])} == {"kubectl-kyverno"}

    def test_select_refuses_an_unknown_name(self):
        with pytest.raises(ValueError, match=r"unknown tool 'kubect'.*kubectl-kyverno"):
            select(["kubect"])


class TestKeys:
    @pytest.fixture(autouse=True)
    def _without_go(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(keys, "go_version", lambda _: "go1.26.8")
        keys.module_key.cache_clear()
        yield
        keys.module_key.cache_clear()

    def test_parts_are_kept_apart(self):
        assert keys.digest("ab", "c") != keys.digest("a", "bc")

    def test_tools_have_keys_of_their_own(self):
        assert len({keys.tool_key(tool) for tool in TOOLS}) == len(TOOLS)

    def test_another_go_is_another_build(self, monkeypatch: pytest.MonkeyPatch):
        before = keys.module_key(CLUSTER)
        keys.module_key.cache_clear()
        monkeypatch.setattr(keys, "go_version", lambda _: "go1.27.0")
        assert keys.module_key(CLUSTER) != before

    def test_editing_an_exchanged_file_rebuilds_its_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        source = tmp_path / "ours.go"
        source.write_text("package main")
        monkeypatch.setattr(keys, "TOOLS_DIRECTORY", tmp_path)
        module = Module("language-python", exchanged=(Exchanged("example.org/theirs", "main.go", "ours.go"),))
        before = keys.module_key(module)
        keys.module_key.cache_clear()
        source.write_text("package main // changed")
        assert keys.module_key(module) != before

    def test_editing_one_tool_rebuilds_no_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "mine").mkdir()
        source = tmp_path / "mine" / "main.go"
        source.write_text("package main")
        monkeypatch.setattr(keys, "TOOLS_DIRECTORY", tmp_path)
        module = Module("language-python")
        mine = Tool("mine", module, "example.org/mine", "cluster", sources=("mine/*.go",))
        other = Tool("other", module, "example.org/other", "cluster")
        before = keys.tool_key(mine), keys.tool_key(other)
        source.write_text("package main // changed")
        assert keys.tool_key(mine) != before[0]
        assert keys.tool_key(other) == before[1]


class TestOfficialPulumi:
    NAMES = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")

    def install(self, directory: Path) -> None:
        for name in self.NAMES:
            executable(directory / name)

    def test_complete_installation_is_used(self, tmp_path: Path):
        self.install(tmp_path / "bin")
        for version in ("v4.9.0", "v4.25.0"):
            executable(tmp_path / "plugins" / f"resource-kubernetes-{version}" / "pulumi-resource-kubernetes")
        found = find_official(str(tmp_path / "bin"), tmp_path / "plugins", tmp_path / "cache")
        assert set(found) == {*self.NAMES, "pulumi-resource-kubernetes"}
        assert found["pulumi-resource-kubernetes"].parent.name == "resource-kubernetes-v4.25.0"

    @pytest.mark.parametrize("absent", ["pulumi", "pulumi-language-python"])
    def test_incomplete_installation_is_not(self, tmp_path: Path, absent: str):
        self.install(tmp_path / "bin")
        executable(tmp_path / "bin" / "pulumi-resource-kubernetes")
        (tmp_path / "bin" / absent).unlink()
        assert find_official(str(tmp_path / "bin"), tmp_path / "plugins", tmp_path / "cache") == {}

    def test_without_the_kubernetes_plugin_it_is_not(self, tmp_path: Path):
        self.install(tmp_path / "bin")
        assert find_official(str(tmp_path / "bin"), tmp_path / "plugins", tmp_path / "cache") == {}

    def test_our_own_build_on_path_is_not_official(self, tmp_path: Path):
        self.install(tmp_path / "cache" / "bin")
        executable(tmp_path / "cache" / "bin" / "pulumi-resource-kubernetes")
        assert find_official(str(tmp_path / "cache" / "bin"), tmp_path / "plugins", tmp_path / "cache") == {}


class TestEnsure:
    def places(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
        places = {tool.name: cache / "tools" / "key" / tool.name for tool in TOOLS}
        monkeypatch.setattr(provide, "locate", lambda: places)
        return places

    def test_nothing_is_built_when_all_wanted_is_there(self, cache: Path, monkeypatch: pytest.MonkeyPatch):
        places = self.places(cache, monkeypatch)
        executable(places["kubectl-kyverno"])
        monkeypatch.setattr(provide, "build_module", lambda *_: pytest.fail("built"))
        directory = provide.ensure(["kubectl-kyverno"], progress=False)
        assert [entry.name for entry in directory.iterdir()] == ["kubectl-kyverno"]

    def test_only_what_is_missing_is_built_by_module(self, cache: Path, monkeypatch: pytest.MonkeyPatch):
        places = self.places(cache, monkeypatch)
        executable(places["etcd"])
        built: list[tuple[str, list[str]]] = []

        def build(module: Module, tools: list[Tool], *_: object) -> None:
            built.append((module.name, [tool.name for tool in tools]))
            for tool in tools:
                executable(places[tool.name])

        monkeypatch.setattr(provide, "build_module", build)
        directory = provide.ensure(["etcd", "kwok", "pulumi"], progress=False)
        pulumi = [tool.name for tool in select(["pulumi"]) if tool.module == PULUMI]
        language = [tool.name for tool in select(["pulumi"]) if tool.module == LANGUAGE_PYTHON]
        assert built == [("cluster", ["kwok"]), ("pulumi", pulumi), ("language-python", language)]
        assert (directory / "kwok").samefile(places["kwok"])
        # The language host resolves its own path and looks for its scripts beside it.
        assert (directory / "pulumi-language-python").resolve().parent == directory.resolve()

    @pytest.mark.usefixtures("cache")
    def test_times_keep_the_coldest_build(self):
        records.tools_root().mkdir()
        cold = records.Timing("cluster", "k", 500.0, 2000, {"etcd": 20.0})
        records.record(cold)
        records.record(records.Timing("cluster", "k", 4.0, 0, {"etcd": 4.0}))
        records.record(records.Timing("cluster", "other", 9.0, 3, {"etcd": 9.0}))
        assert [timing.seconds for timing in records.timings()] == [500.0, 9.0]

    def test_progress_says_what_is_left(self):
        progress = Progress(wanted=["etcd", "kwok"], finished={"etcd"}, module="cluster", packages=7)
        assert progress.line().startswith("building cluster: 1 of 2 tools left (kwok), 7 packages compiled, 0:0")


class TestExchanged:
    def test_a_module_is_built_with_a_copy_that_has_the_files_of_this_repository(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        upstream = tmp_path / "upstream"
        for item in EXTERNAL_SECRETS.exchanged:
            (upstream / item.path).parent.mkdir(parents=True)
            (upstream / item.path).write_text("package register // upstream's\n")
            (upstream / item.path).parent.chmod(0o555)
        monkeypatch.setattr(build, "module_dir", lambda *_: upstream)
        directory = build._build_copy(EXTERNAL_SECRETS, [], tmp_path / "workspace")
        copy = directory.parent / "upstream-github.com-external-secrets-external-secrets"
        for item in EXTERNAL_SECRETS.exchanged:
            assert (copy / item.path).read_text() == (TOOLS_DIRECTORY / item.source).read_text()
            assert "upstream's" in (upstream / item.path).read_text()
        (name,) = {item.module for item in EXTERNAL_SECRETS.exchanged}
        assert (directory / "go.mod").read_text().endswith(f"\nreplace {name} => ../{copy.name}\n")
        assert "=> ../upstream" not in (TOOLS_DIRECTORY / "external-secrets" / "go.mod").read_text()


class TestCharts:
    def test_only_dependencies_that_can_be_had_are_kept(self):
        chart: dict[str, object] = {
            "dependencies": [
                {"name": "crds", "version": "3.9.1"},
                {"name": "kyverno-api", "version": "0.0.1", "repository": "https://example.org", "condition": "c"},
                {"name": "reports-server", "version": "0.1.6", "repository": "https://example.org"},
            ]
        }
        charts._keep_available_dependencies(chart)
        assert chart["dependencies"] == [
            {"name": "crds", "version": "3.9.1"},
            {"name": "kyverno-api", "version": ">=0.0.0-0", "condition": "c"},
        ]

    def test_copies_of_read_only_charts_can_be_edited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        source = tmp_path / "module" / "charts" / "x"
        (source / "templates").mkdir(parents=True)
        (source / "Chart.yaml").write_text("name: x\nversion: v0.0.0\n")
        (source / "Chart.yaml").chmod(0o444)
        (source / "templates").chmod(0o555)
        monkeypatch.setattr(charts, "module_dir", lambda *_: tmp_path / "module")
        charts._copy("example.org/x", "charts/x", tmp_path / "copy")
        charts._edit_chart(tmp_path / "copy", lambda chart: chart.update(version="1.2.3"))
        assert (tmp_path / "copy" / "Chart.yaml").read_text() == "name: x\nversion: 1.2.3\n"
        assert stat.S_IMODE((tmp_path / "copy" / "templates").stat().st_mode) == 0o755


class TestState:
    def test_directories_are_private(self, tmp_path: Path):
        (tmp_path / "state").mkdir(mode=0o755)
        state = State(tmp_path / "state").create()
        assert {stat.S_IMODE(directory.stat().st_mode) for directory in state.directories} == {0o700}
        assert all(directory.is_relative_to(state.root) for directory in state.directories)

    def test_variables_move_state_and_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ZERO_TRUST_EMBEDDED_DIR", str(tmp_path / "s"))
        monkeypatch.setenv("ZERO_TRUST_CACHE", str(tmp_path / "c"))
        assert state_dir() == State().root == tmp_path / "s"
        assert cache_dir() == tmp_path / "c"

    def test_state_is_in_the_checkout_and_cache_is_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        for name in ("ZERO_TRUST_EMBEDDED_DIR", "ZERO_TRUST_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert state_dir() == REPOSITORY / ".embedded"
        assert cache_dir() == tmp_path / "zero-trust-platform"
        assert os.access(cache_dir(), os.W_OK)
