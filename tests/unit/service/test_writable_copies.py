"""Directories of an image that a container may write to: what is there at first is what the image has."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.schema.problem import ConfigError
from components.service.args.containers import ContainerArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.workload import workload_spec
from tests.support.stacks import service
from tests.unit.service.test_containers import IMAGE, mounts_of, pod_of, read
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit


def started(args: SecureServiceArgs) -> list[dict[str, Any]]:
    return pod_of(args)["initContainers"]


def volumes_of(pod: dict[str, Any]) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod["volumes"]}


def test_each_copy_is_made_by_the_image_before_all_others(tmp_path: Path) -> None:
    text = f"""
writableCopies: [/etc/nginx, /srv/site]
init: {{first: {{writableCopies: [/var/lib/first]}}}}
sidecars: {{beside: {{image: '{IMAGE}', port: 9187, runAsUser: 1500, writableCopies: [/opt/beside]}}}}
"""
    args = read(tmp_path, text)
    *copies, first = started(args)
    assert [(each["name"], each["image"], each["command"]) for each in copies] == [
        ("copy-0", args.image, ["cp", "-RP", "/etc/nginx/.", "/copy"]),
        ("copy-1", args.image, ["cp", "-RP", "/srv/site/.", "/copy"]),
        ("copy-2", args.image, ["cp", "-RP", "/var/lib/first/.", "/copy"]),
        ("copy-3", IMAGE, ["cp", "-RP", "/opt/beside/.", "/copy"]),
    ]
    own, beside = pod_of(args)["containers"]
    filled = [mounts_of(each) for each in copies]
    assert filled == [
        {"/copy": mounts_of(own)["/etc/nginx"]},
        {"/copy": mounts_of(own)["/srv/site"]},
        {"/copy": mounts_of(first)["/var/lib/first"]},
        {"/copy": mounts_of(beside)["/opt/beside"]},
    ]
    for mounted in filled:
        assert "emptyDir" in volumes_of(pod_of(args))[mounted["/copy"]]


def test_it_is_as_hard_as_its_container_and_asks_for_no_more() -> None:
    beside = ContainerArgs("beside", IMAGE, 1500, port=9187, memory_limit="1Gi", writable_copies=["/opt/beside"])
    args = service(writable_copies=["/etc/nginx"], sidecars=[beside])
    for copy, its in zip(started(args), pod_of(args)["containers"], strict=True):
        assert copy["securityContext"] == its["securityContext"]
        assert copy["resources"] == its["resources"]
        assert copy["imagePullPolicy"] == its["imagePullPolicy"]
        assert set(copy) == {
            "name",
            "image",
            "imagePullPolicy",
            "command",
            "resources",
            "securityContext",
            "volumeMounts",
        }


def test_a_job_has_them_too(tmp_path: Path) -> None:
    args = read(tmp_path, "writableCopies: [/var/www]\njobs: {cron: {command: [php, cron.php]}}\n")
    pod = job_spec(workload_of(args, args.jobs[0]))["template"]["spec"]
    (copy,), (own,) = pod["initContainers"], pod["containers"]
    assert mounts_of(copy)["/copy"] == mounts_of(own)["/var/www"]


def test_a_directory_may_be_where_the_copy_would_stand(tmp_path: Path) -> None:
    commands = [each["command"] for each in started(read(tmp_path, "writableCopies: [/copy, /copy/a, /copied]\n"))]
    assert [command[2:] for command in commands] == [
        ["/copy/.", "/copied"],
        ["/copy/a/.", "/copied"],
        ["/copied/.", "/copy"],
    ]


def test_the_copy_is_what_the_image_has(tmp_path: Path) -> None:
    image, volume = tmp_path / "image", tmp_path / "volume"
    (image / "a" / "b").mkdir(parents=True)
    volume.mkdir()
    (image / ".hidden").write_text("h")
    (image / "a" / "b" / "run").write_text("#!/bin/sh")
    (image / "a" / "b" / "run").chmod(0o755)
    (image / "link").symlink_to("a/b")
    (copy,) = started(service(writable_copies=["/opt/app"]))
    places = {"/opt/app/.": f"{image}/.", "/copy": str(volume)}
    command = [places.get(word) or word for word in copy["command"]]
    # As the kubelet makes it: not the container's own, so that nothing of the directory itself may change.
    before = volume.stat()
    subprocess.run(command, check=True)
    assert volume.stat().st_mode == before.st_mode
    assert sorted(str(path.relative_to(volume)) for path in volume.rglob("*")) == [
        ".hidden",
        "a",
        "a/b",
        "a/b/run",
        "link",
    ]
    assert (volume / "link").readlink() == Path("a/b")
    assert (volume / "a" / "b" / "run").stat().st_mode & 0o777 == 0o755


def test_without_them_a_pod_is_what_it_was() -> None:
    assert "initContainers" not in pod_of(service())
    assert workload_spec(service()) == workload_spec(service(writable_copies=[]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("writableCopies: [/tmp]", r"writableCopies\[0\]: the directory is that of the platform"),
        ("writableCopies: [/proc]", r"writableCopies\[0\]: /proc is not"),
        ("writable: [/a]\nwritableCopies: [/a]", r"writableCopies\[0\]: the directory is that of writable\[0\]"),
        ("init: {a: {writable: [/a], writableCopies: [/a]}}", r"init\.a\.writableCopies\[0\]: the directory is that"),
        (
            "config: {path: /etc/app, files: {a: b}}\nwritableCopies: [/etc/app/x]",
            r"writableCopies\[0\]: it is below /etc/app",
        ),
        ("writableCopies: [/a, /b]\ninit: {copy-1: {}}", r"init\.copy-1: a container that copies"),
        ("name: copy-0\nwritableCopies: [/a]", r"name: a container that copies"),
        ("name: copy\nwritableCopies: [/a]\njobs: {'0': {}}", r"jobs\.0: a container that copies"),
    ],
)
def test_what_could_not_work_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_service(f"{SMALL}{text}\n", "x.yaml")


def test_a_name_is_free_where_no_copy_has_it() -> None:
    assert parse_service(f"{SMALL}writableCopies: [/a]\ninit: {{copy-1: {{}}}}\n", "x.yaml").spec.init


def test_an_image_that_may_not_read_the_secrets_copies_nothing_where_init_containers_can(tmp_path: Path) -> None:
    text = """
secrets: {a: {generate: [x]}, b: {generate: [x]}}
writableCopies: [/etc/nginx]
init: {first: {secrets: [a, b]}}
sidecars: {beside: {port: 9187, secrets: [%s], writableCopies: [/opt/beside]}}
"""
    assert len(started(read(tmp_path, text % "a, b"))) == 3
    with pytest.raises(ConfigError, match=r"sidecars\.beside\.writableCopies: where Vault's agent writes them"):
        read(tmp_path, text % "a")
    assert len(started(read(tmp_path, text.replace("init: {first: {secrets: [a, b]}}", "") % "a"))) == 2
