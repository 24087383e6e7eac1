"""The package for other languages: what it says of itself, and what it creates of what an engine sends it."""

import json
import re
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
import yaml
from google.protobuf import struct_pb2
from pulumi.errors import InputPropertiesError, InputPropertyError
from pulumi.provider.server import ProviderServicer
from pulumi.resource import DependencyProviderResource
from pulumi.runtime.rpc import UNKNOWN
from pulumi.runtime.sync_await import _sync_await
from syrupy.assertion import SnapshotAssertion

from components.program.plans.teams import text
from components.provider import secure_service
from components.provider.package import Package
from components.schema.problem import ConfigError, Problem
from components.service.args.document import Platform
from tests.support.monitor import Recording, record
from tests.support.stacks import ROOT
from tests.unit.service.test_team import EXCEPTED, EXCEPTION, SMALL, platform
from tests.unit.service.test_team_component import SECRET

pytestmark = pytest.mark.unit

FOLDER = ROOT / "components" / "provider"
TYPE = "zero-trust:index:SecureService"
TOLD = text(platform())


def secret(value: object) -> dict[str, Any]:
    """A secret in the engine's messages."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def output(value: object) -> dict[str, Any]:
    """A value that a resource gave, in the engine's messages."""
    given = {} if value == UNKNOWN else {"value": value}
    return {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4", **given}


def of_file(file: str = SMALL, **changes: Any) -> dict[str, Any]:
    """The object that a program has in place of a file."""
    return json.loads(json.dumps(yaml.safe_load(file) | changes, default=str))


def providers(*packages: str) -> dict[str, pulumi.ProviderResource]:
    """Providers of the program's own, as an engine refers to them."""
    urn = "urn:pulumi:production::payments::pulumi:providers"
    return {each: DependencyProviderResource(f"{urn}:{each}::mine::id-{each}") for each in packages}


@dataclass
class Call:
    """One call of the engine: what it registered, and what it was answered with. Unknown outputs are no answer."""

    recording: Recording = field(default_factory=Recording)
    answers: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def construct(
        self,
        service: Any,
        told: Any = TOLD,
        opts: pulumi.ResourceOptions | None = None,
        preview: bool = False,
        **more: Any,
    ) -> "Call":
        message = struct_pb2.Struct()
        given = {"service": service, "platform": told, **more}
        message.update({key: value for key, value in given.items() if value is not None})

        def program() -> None:
            inputs = _sync_await(ProviderServicer._construct_inputs(message, {}))
            state = Package().construct("checkout", TYPE, inputs, opts).state
            pulumi.Output.all(**state).apply(self.answers.append)

        record(program, "production", {}, self.recording, preview=preview)
        return self

    @property
    def types(self) -> list[str]:
        return [made.type for made in self.recording.resources]


def construct(service: Any, told: Any = TOLD, **more: Any) -> Call:
    return Call().construct(service, told, **more)


def refused(service: Any, told: Any = TOLD, **more: Any) -> str:
    """The message of a call that creates nothing but the component itself."""
    call = Call()
    with pytest.raises(InputPropertiesError) as error:
        call.construct(service, told, **more)
    assert call.types == [TYPE]
    assert error.value.errors == []
    return error.value.message


class TestTheSchema:
    def test_it_is_what_programs_were_built_with(self, snapshot: SnapshotAssertion) -> None:
        """A difference changes the SDK of each program: VERSIONING.md says which change is for which release."""
        assert json.loads(Package().schema or "") == snapshot

    def test_an_editor_has_a_text_for_each_key(self) -> None:
        """As the lines of a comment, in whatever language: without those of the source's indentation."""
        schema = json.loads(Package().schema or "")
        (component,) = schema["resources"].values()
        keys = [*component["inputProperties"].items(), *component["properties"].items()]
        keys += [item for each in schema["types"].values() for item in each["properties"].items()]
        assert not [name for name, each in keys if not each.get("description")]
        texts = [each["description"] for _, each in keys] + [each["description"] for each in schema["types"].values()]
        assert not [text for text in texts if re.search(r"\n +|^ | $", text)]


class TestWhatItCreates:
    def test_it_is_what_the_file_s_own_program_creates(self) -> None:
        made = construct(of_file(SMALL + SECRET)).recording
        outer, inner = made.one(TYPE), made.one("zero-trust:platform:SecureService")
        assert (outer.name, inner.name, inner.parent) == ("checkout", "payments.checkout", outer.urn)
        assert made.one("Deployment").inputs["metadata"]["name"] == "checkout"
        [provider] = made.of("pulumi:providers:vault")
        assert json.loads(provider.inputs["authLoginJwt"])["role"] == "team_deployer_payments"

    def test_whole_numbers_are_whole_again(self) -> None:
        """In the engine's message every number has a fraction, and the file's keys take whole ones alone."""
        spec = construct(of_file(replicas=3)).recording.one("Deployment").inputs["spec"]
        assert spec["replicas"] == 3
        assert spec["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080

    def test_a_number_with_a_fraction_keeps_it(self) -> None:
        assert "service: replicas: a whole number is expected, found 2.5" in refused(of_file(replicas=2.5))

    def test_the_program_hears_of_namespace_and_address(self) -> None:
        [answer] = construct(of_file(host="pay.example.org", health="/healthz")).answers
        assert answer == {"namespace": "payments", "url": "https://pay.example.org"}

    def test_it_has_the_name_of_the_resource_unless_it_says_another(self) -> None:
        made = construct(of_file(name="till")).recording
        assert made.one(TYPE).name == "checkout"
        assert made.one("Deployment").inputs["metadata"]["name"] == "till"

    def test_the_providers_of_the_program_are_its_own(self) -> None:
        """One of Kubernetes alone does not keep it from its own login to Vault."""

        def given(*packages: str) -> Recording:
            own = pulumi.ResourceOptions(providers=providers(*packages))
            return construct(of_file(SMALL + SECRET), opts=own).recording

        assert given("kubernetes").one("Deployment").provider.endswith("id-kubernetes")
        assert len(given("kubernetes").of("pulumi:providers:vault")) == 1
        both = given("kubernetes", "vault")
        assert not both.of("pulumi:providers:vault")
        assert both.one("SecretV2").provider.endswith("id-vault")
        assert both.one("Deployment").provider.endswith("id-kubernetes")


class TestWhatItRefuses:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"replica": 2}, r"service: replica: unknown key.*did you mean replicas\?"),
            ({"image": "docker.io/else/checkout:v1"}, "service: image: not from an approved registry"),
            ({"host": "shop.example.org"}, r"service: host: no host of payments.*teams\.payments\.hosts\.payments"),
            ({"calls": ["ledger"]}, r"service: calls\[0\]: "),
            ({"namespace": "ledger"}, "service: namespace: no namespace of the team"),
            ({"env": {"MODE": 1}}, r"service: env\.MODE: a text is expected"),
        ],
    )
    def test_what_no_file_may_say_with_its_key(self, change: dict[str, Any], message: str) -> None:
        assert re.search(message, refused(of_file(**change)))

    def test_every_problem_in_one_run(self) -> None:
        lines = refused(of_file(image="docker.io/else/checkout:v1", host="shop.example.org")).splitlines()
        assert [line.split(": ")[1] for line in lines] == ["image", "host"]

    @pytest.mark.parametrize("preview", [True, False])
    @pytest.mark.parametrize("wrap", [secret, output])
    def test_a_secret_or_what_a_resource_gives(self, wrap: Any, preview: bool) -> None:
        said = refused(of_file(env={"TOKEN": "x", "KEY": wrap("hunter2")}), preview=preview)
        assert re.match(r"service: (env\.KEY|all of it): a secret, or what a resource gives", said)
        assert "hunter2" not in said

    def test_a_value_that_a_preview_does_not_know(self) -> None:
        said = refused(of_file(egress=[{"host": UNKNOWN, "port": 443}]), preview=True)
        assert said.startswith("service: egress[0].host: a secret, or what a resource gives")

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            ("{}", "platform: version: no version of a platform"),
            (json.dumps({**json.loads(TOLD), "version": 2}), "platform: version: the platform is newer"),
            ({"version": 1}, "platform: document: it is no JSON"),
        ],
    )
    def test_another_platform_than_this_release_knows(self, told: Any, message: str) -> None:
        assert message in refused(of_file(), told)

    def test_a_program_without_a_service(self) -> None:
        with pytest.raises(InputPropertyError) as error:
            construct(None)
        assert error.value.property_path == "service"

    def test_an_exception_that_has_ended_on_the_day(self) -> None:
        told = text(platform(kyverno={"exceptions": [EXCEPTED]}))
        service = of_file(SMALL + EXCEPTION)
        assert construct(service, told, asOf="2026-12-01").recording.one("Deployment")
        assert "service: exceptions[0].expires: " in refused(service, told, asOf="2027-01-01")
        assert "asOf: a day is expected, such as 2026-12-31, found 'soon'" in refused(service, told, asOf="soon")
        assert "asOf: exceptions end by the date of the commit, and git has none here" in refused(service, told)


class TestAProgramThatGivesNoPlatform:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The teams whose ConfigMap is read."""
        asked: list[str] = []

        def told_to(team: str) -> Platform:
            asked.append(team)
            if team == "payments":
                return platform()
            raise ConfigError([Problem("the cluster", f"platform-teams/{team}", "the platform has no such team")])

        monkeypatch.setattr(secure_service, "told_to", told_to)
        return asked

    def test_it_is_read_in_the_cluster(self, asked: list[str]) -> None:
        call = construct(of_file(), None, preview=True)
        assert call.recording.one("Deployment")
        assert call.answers == [{"namespace": "payments", "url": ""}]
        assert asked == ["payments"]

    @pytest.mark.usefixtures("asked")
    def test_a_team_that_the_cluster_does_not_know(self) -> None:
        said = refused(of_file(team="ops"), None)
        assert said == "the cluster: platform-teams/ops: the platform has no such team"

    def test_a_provider_of_its_own_leads_to_another_cluster(self, asked: list[str]) -> None:
        said = refused(of_file(), None, opts=pulumi.ResourceOptions(providers=providers("kubernetes")))
        assert "SecureService: platform: " in said
        assert "read the ConfigMap platform-teams/payments with that provider, and give its platform.json" in said
        assert not asked


class TestAPreviewThatDoesNotKnowThePlatform:
    @pytest.mark.parametrize("told", [UNKNOWN, output(UNKNOWN)])
    def test_it_shows_the_component_and_answers_nothing(self, told: Any) -> None:
        call = construct(of_file(), told, preview=True)
        assert call.types == [TYPE]
        assert not call.answers

    def test_what_needs_no_platform_is_checked(self) -> None:
        assert "service: replica: unknown key" in refused(of_file(replica=2), UNKNOWN, preview=True)

    @pytest.mark.parametrize("wrap", [secret, output])
    def test_what_a_resource_or_a_secret_gives_is_a_platform_as_any(self, wrap: Any) -> None:
        assert construct(of_file(), wrap(TOLD), preview=True).recording.one("Deployment")


class TestTheFolder:
    def test_pulumi_starts_it_as_a_plugin_of_python(self) -> None:
        runtime = yaml.safe_load((FOLDER / "PulumiPlugin.yaml").read_text())["runtime"]
        assert runtime["name"] == "python"
        assert runtime["options"] == {"toolchain": "pip", "virtualenv": "venv"}

    def test_what_it_installs_is_locked(self) -> None:
        [line] = [line for line in (FOLDER / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
        assert (FOLDER / line.removeprefix("-r ")).resolve() == ROOT / "requirements.txt"

    def test_none_of_its_modules_stands_in_the_way_of_python_s(self) -> None:
        """Python puts the folder first until its entry runs."""
        assert not {path.stem for path in FOLDER.glob("*.py")} & set(sys.stdlib_module_names)

    def test_its_entry_knows_the_repository_and_not_its_own_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        served: list[list[str]] = []
        monkeypatch.setattr("components.provider.package.serve", served.append)
        monkeypatch.setattr(sys, "argv", [str(FOLDER), "127.0.0.1:1"])
        monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
        runpy.run_path(str(FOLDER), run_name="__main__")
        assert served == [["127.0.0.1:1"]]
