"""The random stand-in as a process: every type is created, kept, replaced and imported."""

import base64
import ctypes
import os
import string
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.provider_plugin import (
    PLUGINS,
    UNKNOWN,
    CheckError,
    Managed,
    Plugin,
    failure,
    running_plugin,
    secret_names,
)

PASSWORD, STRING = "random:index/randomPassword:RandomPassword", "random:index/randomString:RandomString"
ID, UUID = "random:index/randomId:RandomId", "random:index/randomUuid:RandomUuid"


@pytest.fixture(scope="module")
def plugin() -> Iterator[Plugin]:
    with running_plugin("random", {}) as running:
        yield running


def replaced(resource: Managed, inputs: dict[str, object]) -> list[str]:
    return list(resource.diff(inputs).replaces)


def test_a_plugin_does_not_outlive_a_killed_engine() -> None:
    engine = (
        "import subprocess, sys; plugin = subprocess.Popen(sys.argv[1], stdout=subprocess.PIPE);"
        "plugin.stdout.readline(); print(plugin.pid, flush=True)"
    )
    command = [sys.executable, "-c", engine, str(PLUGINS / "pulumi-resource-random")]
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    pid = int(subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout)
    end = time.monotonic() + 10
    while running(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not running(pid)


def running(pid: int) -> bool:
    """Whether a process runs; one that only waits for its parent to read its end does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_a_password_is_made_once_and_is_secret(plugin: Plugin) -> None:
    password = Managed(plugin, PASSWORD)
    inputs: dict[str, object] = {"length": 32, "special": False, "keepers": {"rotation": "1"}}
    assert password.preview(inputs)["result"] == UNKNOWN
    assert password.up(inputs) == "create"
    result = str(password.state["result"])
    assert password.id == "none"
    assert len(result) == 32
    assert set(result) <= set(string.ascii_letters + string.digits)
    assert secret_names(password.outputs) == {"result", "bcryptHash"}
    assert password.up(inputs) == "same"
    assert password.refresh() == "same"
    assert replaced(password, {**inputs, "keepers": {"rotation": "2"}}) == ["keepers"]
    assert replaced(password, {**inputs, "length": 40}) == ["length"]
    password.destroy()


def test_the_bcrypt_hash_is_the_password_s(plugin: Plugin) -> None:
    password = Managed(plugin, PASSWORD)
    password.up({"length": 100})
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype, crypt.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_char_p]
    hashed = str(password.state["bcryptHash"]).encode()
    assert hashed.startswith(b"$2b$10$")
    assert crypt(str(password.state["result"]).encode()[:72], hashed) == hashed


def test_every_asked_for_class_of_characters_is_there(plugin: Plugin) -> None:
    text = Managed(plugin, STRING)
    text.up({"length": 10, "minUpper": 3, "minLower": 3, "minNumeric": 2, "minSpecial": 2, "overrideSpecial": "_-"})
    result = str(text.state["result"])
    assert text.id == result
    counts = [
        sum(letter in letters for letter in result)
        for letters in (string.ascii_uppercase, string.ascii_lowercase, string.digits, "_-")
    ]
    assert counts == [3, 3, 2, 2]


def test_the_old_name_of_numeric_still_counts(plugin: Plugin) -> None:
    text = Managed(plugin, STRING)
    text.up({"length": 64, "number": False})
    assert not set(str(text.state["result"])) & set(string.digits)
    assert text.up({"length": 64, "numeric": False}) == "same"


def test_an_id_has_every_spelling(plugin: Plugin) -> None:
    identity = Managed(plugin, ID)
    identity.up({"byteLength": 8, "prefix": "zt-"})
    raw = base64.urlsafe_b64decode(identity.id + "=")
    assert len(raw) == 8
    assert identity.state["hex"] == f"zt-{raw.hex()}"
    assert identity.state["dec"] == f"zt-{int.from_bytes(raw, 'big')}"
    assert identity.state["b64Url"] == f"zt-{identity.id}"
    assert replaced(identity, {"byteLength": 8}) == ["prefix"]


def test_a_uuid_is_one(plugin: Plugin) -> None:
    unique = Managed(plugin, UUID)
    unique.up({})
    assert uuid.UUID(unique.id).version == 4
    assert unique.state["result"] == unique.id


def test_known_values_are_imported(plugin: Plugin) -> None:
    password = Managed(plugin, PASSWORD).take_over("correct-horse")
    assert (password.id, password.state["result"]) == ("none", "correct-horse")
    assert password.up({"length": 13}) == "same"
    assert Managed(plugin, STRING).take_over("abc").up({"length": 3}) == "same"
    identity = Managed(plugin, ID).take_over("zt-,p-9hUg")
    assert identity.state["hex"] == "zt-a7ef6152"
    assert identity.up({"byteLength": 4, "prefix": "zt-"}) == "same"
    known = "8d5a3a2e-2a8b-4f3e-9d5c-0e5b7f2b1c11"
    assert Managed(plugin, UUID).take_over(known).up({}) == "same"
    assert "no id" in failure(lambda: Managed(plugin, UUID).take_over("nonsense"))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"length": 3, "minLower": 2, "minUpper": 2}, "at least 4"),
        ({"length": 0}, "at least 1"),
        ({"length": "8"}, "length is a string, and has to be a whole number"),
        ({}, "length is required"),
        ({"length": 8, "lenght": 9}, "no input property 'lenght'"),
        (
            {"length": 8, "upper": False, "lower": False, "numeric": False, "special": False},
            "at least one has to be true",
        ),
    ],
)
def test_impossible_inputs_are_refused(plugin: Plugin, inputs: dict[str, object], told: str) -> None:
    with pytest.raises(CheckError, match=told):
        Managed(plugin, PASSWORD).checked(inputs)
