"""`zt vault snapshot` and `zt vault restore`: what is asked, refused, written and told."""

import gzip
import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from typer.testing import CliRunner, Result

from zt.cli import app
from zt.cluster.vault import Access
from zt.vault.snapshot import SnapshotError, read_snapshot

META = b'{"Version":1,"Index":36,"Term":3}\n'
TAKEN = 1_775_000_000


def archive(**changes: bytes) -> bytes:
    """A snapshot as Vault writes it, with other bytes for some of its parts."""
    parts = {"meta.json": META, "state.bin": b"sealed" * 1000}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in parts.items())
    parts |= {"SHA256SUMS": sums.encode(), "SHA256SUMS.sealed": b"sealed sums"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, content in {**parts, **{key.replace("_", "."): value for key, value in changes.items()}}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), TAKEN
            made.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=TAKEN)


class Server:
    """A Vault with one snapshot in it, which remembers what was put in its place."""

    where = "https://vault.example.org:8200"

    def __init__(self, content: bytes, *, standby: bool = False) -> None:
        self.content, self.standby = content, standby
        self.access: Access | None = None
        self.restored: list[tuple[str, bytes]] = []

    @contextmanager
    def connect(self, access: Access) -> Iterator["Server"]:
        self.access = access
        yield self

    def read(self, path: str) -> dict[str, Any] | None:
        if path.startswith("sys/health"):
            return {"standby": self.standby}
        return {"leader_address": "https://10.0.0.7:8200"} if path == "sys/leader" else None

    def download(self, path: str) -> Iterator[bytes]:
        assert path == "sys/storage/raft/snapshot"
        yield self.content[:100]
        yield self.content[100:]

    def upload(self, path: str, content: BinaryIO) -> None:
        self.restored.append((path, content.read()))


def zt(server: Server, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["vault", *arguments], obj=server.connect, input=given)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "vault.snap"
    made.write_bytes(archive())
    return made


@pytest.fixture
def token(tmp_path: Path) -> Path:
    made = tmp_path / "token"
    made.touch(mode=0o600)
    made.write_text("s.once\n")
    return made


class TestReading:
    def test_it_says_when_and_where_it_ends(self, file: Path) -> None:
        found = read_snapshot(file)
        assert (found.taken.timestamp(), found.index, found.size) == (TAKEN, 36, file.stat().st_size)

    @pytest.mark.parametrize("kept", [0, 10, 200, -20, -8, -1])
    def test_one_that_is_cut_off_is_none(self, file: Path, kept: int) -> None:
        file.write_bytes(file.read_bytes()[:kept])
        with pytest.raises(SnapshotError, match="not a snapshot of Vault, or cut off"):
            read_snapshot(file)

    @pytest.mark.parametrize(
        "content",
        [b"text", gzip.compress(b"text", mtime=TAKEN), b"\x1f\x8b" + b"x" * 50],
        ids=["text", "compressed text", "a broken header"],
    )
    def test_another_file_is_none(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        with pytest.raises(SnapshotError, match="not a snapshot of Vault, or cut off"):
            read_snapshot(file)

    def test_a_changed_part_is_noticed(self, file: Path) -> None:
        file.write_bytes(archive(state_bin=b"mine"))
        with pytest.raises(SnapshotError, match="damaged"):
            read_snapshot(file)

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SnapshotError, match="none: cannot be read: No such file"):
            read_snapshot(tmp_path / "none")


class TestSnapshot:
    def test_it_is_written_whole_and_for_its_owner_alone(self, tmp_path: Path) -> None:
        target = tmp_path / "vault.snap"
        done = zt(Server(archive()), "snapshot", str(target), "--format", "json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["index"] == 36
        assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (archive(), 0o600)

    def test_half_of_one_is_not_kept(self, tmp_path: Path) -> None:
        done = zt(Server(archive()[:-20]), "snapshot", str(tmp_path / "vault.snap"))
        assert (done.exit_code, list(tmp_path.iterdir())) == (3, [])

    def test_a_file_that_is_there_is_replaced_by_the_flag_alone(self, file: Path) -> None:
        file.write_text("mine")
        assert zt(Server(archive()), "snapshot", str(file)).exit_code == 2
        assert file.read_text() == "mine"
        assert zt(Server(archive()), "snapshot", str(file), "--overwrite").exit_code == 0
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (archive(), 0o600)

    def test_a_standby_names_the_active_server(self, tmp_path: Path) -> None:
        done = zt(Server(archive(), standby=True), "snapshot", str(tmp_path / "vault.snap"))
        assert done.exit_code == 3
        assert "is a standby: set VAULT_ADDR to the active server, https://10.0.0.7:8200" in done.stderr


class TestRestore:
    @pytest.mark.parametrize(("flags", "path"), [((), "snapshot"), (("--force",), "snapshot-force")])
    def test_it_puts_the_file_in_place_with_the_token_of_the_file(
        self, file: Path, token: Path, flags: tuple[str, ...], path: str
    ) -> None:
        server = Server(b"")
        done = zt(server, "restore", str(file), "--token-file", str(token), "--yes", *flags)
        assert done.exit_code == 0, done.output
        assert server.restored == [(f"sys/storage/raft/{path}", archive())]
        assert server.access == Access(token="s.once")
        assert "s.once" not in done.output + repr(server.access)

    def test_it_takes_the_token_of_the_standard_input(self, file: Path) -> None:
        server = Server(b"")
        assert zt(server, "restore", str(file), "--token-file", "-", "--yes", given="s.once\n").exit_code == 0
        assert server.access == Access(token="s.once")

    @pytest.mark.parametrize("content", ["", "two words", "ünicode", "a\nb"])
    def test_what_is_no_token_is_not_sent_nor_repeated(self, file: Path, token: Path, content: str) -> None:
        server = Server(b"")
        token.write_text(content)
        done = zt(server, "restore", str(file), "--token-file", str(token), "--yes")
        assert (done.exit_code, server.access) == (2, None)
        assert "--token-file: holds no token" in done.stderr
        assert not content or content not in done.stderr

    def test_a_token_that_others_may_read_is_refused(self, file: Path, token: Path) -> None:
        token.chmod(0o640)
        done = zt(Server(b""), "restore", str(file), "--token-file", str(token), "--yes")
        assert done.exit_code == 2
        assert "others may read or write it" in done.stderr

    def test_without_a_token_file_there_is_no_restore(self, file: Path) -> None:
        assert zt(Server(b""), "restore", str(file), "--yes").exit_code == 2

    @pytest.mark.parametrize(("answer", "code", "times"), [("y\n", 0, 1), ("n\n", 1, 0)])
    def test_it_asks_at_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, file: Path, token: Path, answer: str, code: int, times: int
    ) -> None:
        monkeypatch.setattr("zt.vault.command.check_can_ask", lambda *_: None)
        server = Server(b"")
        done = zt(server, "restore", str(file), "--token-file", str(token), given=answer)
        assert (done.exit_code, len(server.restored)) == (code, times)
        assert "raft index 36" in done.stderr

    def test_where_nobody_can_be_asked_it_is_refused(self, file: Path, token: Path) -> None:
        for given in (str(token), "-"):
            done = zt(Server(b""), "restore", str(file), "--token-file", given)
            assert done.exit_code == 2
            assert "--yes: required where nobody can be asked" in done.stderr

    def test_a_file_that_is_none_never_reaches_vault(self, file: Path, token: Path) -> None:
        file.write_bytes(archive()[:-20])
        server = Server(b"")
        done = zt(server, "restore", str(file), "--token-file", str(token), "--yes")
        assert (done.exit_code, server.access) == (2, None)

    def test_a_standby_takes_none(self, file: Path, token: Path) -> None:
        server = Server(b"", standby=True)
        assert zt(server, "restore", str(file), "--token-file", str(token), "--yes").exit_code == 3
        assert not server.restored
