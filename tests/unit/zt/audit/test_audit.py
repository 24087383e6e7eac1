"""`zt audit` on lines that OpenBao wrote, and on what a log may hold besides."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from components.schema.problem import ConfigError
from tests.support.stacks import ROOT
from zt.audit.command import since_moment
from zt.cli import app
from zt.cluster.audit_log import EntryFilter, Outcome, Tally, accesses, parse_line, secret_path

LOG = Path(__file__).parent / "openbao.jsonl"
LINES = LOG.read_bytes().splitlines(keepends=True)
NOW = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)
PATH = "secret/data/shop/api/database"

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        command = ["audit", *arguments, "--project", str(ROOT)]
        return CliRunner().invoke(app, command, input=stdin, catch_exceptions=False)

    return run


def shown(done: Result) -> list[tuple[str, str, str, int | None]]:
    found = json.loads(done.stdout)["accesses"]
    return [(entry["account"], entry["operation"], entry["outcome"], entry["version"]) for entry in found]


def line(**changes: Any) -> bytes:
    """A response of the log with other values at the top or in its request."""
    document = json.loads(LINES[5])
    for key, value in changes.items():
        (document if key in document or key == "error" else document["request"])[key] = value
    return json.dumps(document).encode() + b"\n"


class TestWhoReadWhat:
    def test_a_service_and_each_of_its_reads(self, run: Run, snapshot: object) -> None:
        done = run("shop/api", "--file", str(LOG))
        assert done.exit_code == 0
        assert done.stdout == snapshot

    def test_by_its_name_alone(self, run: Run) -> None:
        assert run("api", "--file", str(LOG)).stdout == run("shop/api", "--file", str(LOG)).stdout

    def test_a_denied_attempt_on_the_secret_of_another(self, run: Run) -> None:
        done = run("shop/redis", "--file", str(LOG), "--format", "json")
        found = json.loads(done.stdout)["accesses"]
        assert found == [
            {
                "time": "2026-11-25T04:04:07.905429+00:00",
                "account": "shop/redis",
                "role": "shop.redis",
                "operation": "read",
                "path": PATH,
                "secret": "secret/shop/api/database",
                "version": None,
                "outcome": "denied",
                "remoteAddress": "127.0.0.1",
                "request": found[0]["request"],
            }
        ]

    @pytest.mark.parametrize("secret", ["shop/api/database", "secret/shop/api/database", PATH, "/shop/api/database/"])
    def test_a_secret_and_everybody_who_asked_for_it(self, run: Run, secret: str) -> None:
        done = run("--secret", secret, "--file", str(LOG), "--format", "json")
        assert shown(done) == [
            ("cert-platform-deployer", "create", "allowed", 1),
            ("vault/platform-operator", "patch", "failed", None),
            ("shop/api", "read", "allowed", 2),
            ("shop/api", "read", "allowed", 5),
            ("shop/redis", "read", "denied", None),
            ("unidentified", "read", "denied", None),
        ]

    def test_both_questions_at_once(self, run: Run) -> None:
        done = run("shop/redis", "--secret", "shop/api/database", "--file", str(LOG), "--format", "json")
        assert [account for account, *_ in shown(done)] == ["shop/redis"]

    def test_another_prefix(self, run: Run) -> None:
        done = run("shop/api", "--file", str(LOG), "--format", "json", "--path-prefix", "auth/")
        assert [entry["path"] for entry in json.loads(done.stdout)["accesses"]] == ["auth/kubernetes/login"]

    def test_no_value_and_no_token_is_shown_in_any_form(self, run: Run) -> None:
        for arguments in (("--secret", "shop/api/database"), ("shop/api", "--path-prefix", "")):
            for output_format in ("text", "json"):
                assert "hmac-" not in run(*arguments, "--file", str(LOG), "--format", output_format).output

    def test_a_secret_of_another_mount_needs_no_prefix(self, run: Run) -> None:
        log = line(path="kv/data/team/key")
        assert shown(run("--secret", "kv/team/key", "--file", "-", "--format", "json", stdin=log))
        assert not shown(run("shop/api", "--file", "-", "--format", "json", stdin=log))

    def test_database_credentials_are_secrets_too(self, run: Run) -> None:
        log = line(path="database/creds/shop.api")
        done = run("shop/api", "--file", "-", stdin=log)
        assert "read    database/creds/shop.api" in done.stdout


class TestSince:
    @pytest.mark.parametrize(
        ("written", "before"),
        [
            ("30s", timedelta(seconds=30)),
            ("90m", timedelta(minutes=90)),
            ("1h", timedelta(hours=1)),
            ("7d", timedelta(days=7)),
            ("99999d", timedelta(days=99999)),
            ("2026-11-25T04:00:00Z", timedelta(minutes=30)),
            ("2026-11-25T05:00:00+01:00", timedelta(minutes=30)),
            ("2026-11-25T04:00", timedelta(minutes=30)),
        ],
    )
    def test_a_span_or_a_time(self, written: str, before: timedelta) -> None:
        assert since_moment(written, NOW) == NOW - before

    @pytest.mark.parametrize("written", ["", "h", "0h", "-1h", "1y", "1 hour", "yesterday", "999999d"])
    def test_neither(self, written: str) -> None:
        with pytest.raises(ConfigError, match=r"--since: neither a time nor a span of it, found .*legal: 30m, 1h"):
            since_moment(written, NOW)

    def test_what_is_older_is_left_out(self, run: Run) -> None:
        done = run("shop/api", "--file", str(LOG), "--format", "json", "--since", "2026-11-25T04:00:00Z")
        assert shown(done) == [("shop/api", "read", "allowed", 5)]


class TestSources:
    def test_the_standard_input(self, run: Run) -> None:
        assert len(shown(run("shop/api", "--file", "-", "--format", "json", stdin=LOG.read_bytes()))) == 2

    def test_one_that_is_compressed(self, run: Run, tmp_path: Path) -> None:
        packed = tmp_path / "audit.log.1.gz"
        packed.write_bytes(gzip.compress(LOG.read_bytes()))
        assert len(shown(run("shop/api", "--file", str(packed), "--format", "json"))) == 2

    def test_two_devices_tell_each_request_once(self, run: Run, tmp_path: Path) -> None:
        other = tmp_path / "second.log"
        other.write_bytes(LOG.read_bytes())
        both = run("shop/api", "--file", str(LOG), "--file", str(other), "--format", "json")
        assert shown(both) == shown(run("shop/api", "--file", str(LOG), "--format", "json"))

    def test_a_log_that_was_rotated_between_request_and_response(self, run: Run, tmp_path: Path) -> None:
        older, newer = tmp_path / "audit.log.1", tmp_path / "audit.log"
        older.write_bytes(b"".join(LINES[:5]))
        newer.write_bytes(b"".join(LINES[5:]))
        done = run("shop/api", "--file", str(newer), "--file", str(older), "--format", "json")
        assert [entry["time"] for entry in json.loads(done.stdout)["accesses"]] == sorted(
            entry["time"] for entry in json.loads(done.stdout)["accesses"]
        )
        assert len(shown(done)) == 2

    def test_a_request_without_a_response_says_so(self, run: Run) -> None:
        done = run("shop/api", "--file", "-", "--format", "json", stdin=LINES[4])
        assert shown(done) == [("shop/api", "read", "unanswered", None)]

    def test_nothing_found_is_no_error(self, run: Run) -> None:
        done = run("shop/postgres", "--file", str(LOG), "--format", "json")
        assert (done.exit_code, json.loads(done.stdout)) == (
            0,
            {"version": 1, "accesses": [], "read": len(LINES), "skipped": {"foreign": 0, "broken": 0}},
        )
        assert run("shop/postgres", "--file", str(LOG)).stdout.startswith("0 accesses, 0 denied; read 14 lines")


class TestWrong:
    def test_neither_a_service_nor_a_secret(self, run: Run) -> None:
        done = run("--file", str(LOG))
        assert (done.exit_code, done.stdout) == (2, "")
        assert "name a service, or a secret with --secret" in done.stderr

    def test_no_log(self, run: Run) -> None:
        done = run("shop/api")
        assert done.exit_code == 2
        assert "--file: names the log to read" in done.stderr

    def test_both_kinds_of_log(self, run: Run) -> None:
        assert run("shop/api", "--embedded", "--file", str(LOG)).exit_code == 2

    def test_a_log_that_is_not_there(self, run: Run, tmp_path: Path) -> None:
        for output_format in ("text", "json"):
            done = run("shop/api", "--file", str(tmp_path / "none"), "--format", output_format)
            assert (done.exit_code, done.stdout) == (3, "")
            assert done.stderr == f"error: {tmp_path}/none: cannot be read: No such file or directory\n"

    def test_one_that_is_not_what_its_name_says(self, run: Run, tmp_path: Path) -> None:
        packed = tmp_path / "audit.log.gz"
        packed.write_bytes(LOG.read_bytes())
        assert run("shop/api", "--file", str(packed)).exit_code == 3
        packed.write_bytes(gzip.compress(LOG.read_bytes())[:-20])
        assert run("shop/api", "--file", str(packed)).exit_code == 3

    def test_a_control_plane_that_was_never_started(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("ZERO_TRUST_EMBEDDED_DIR", str(tmp_path))
        done = run("shop/api", "--embedded")
        assert done.exit_code == 3
        assert "there is no audit log in" in done.stderr


class TestForeignLines:
    FOREIGN = (
        b"2026-11-25T03:54:55.271Z [INFO]  core: Initializing\n",
        b"==> OpenBao server configuration:\n",
        b'{"level":"info","msg":"something else"}\n',
        b'{"type":"request"}\n',
        b'{"type":"request","request":[]}\n',
        b"[1, 2]\n",
        b"\xff\xfe\x00garbage\n",
    )
    BROKEN = (
        LINES[5][:-200] + b"\n",
        b"{not json}\n",
        b"{\xff}\n",
        b'{"type":"request","request":{"id":"x"}}\n',
        b'{"type":"request","time":"2026-11-25","request":{"id":"x"}}\n',
        b'{"a":' * 100_000 + b"\n",
    )

    def test_they_are_counted_and_nothing_is_lost(self, run: Run) -> None:
        log = b"".join((*self.FOREIGN, *LINES[:5], b"\n", *self.BROKEN, *LINES[5:]))
        done = run("shop/api", "--file", "-", "--format", "json", stdin=log)
        assert len(shown(done)) == 2
        assert json.loads(done.stdout)["skipped"] == {"foreign": len(self.FOREIGN), "broken": len(self.BROKEN)}

    def test_a_line_without_an_end_is_not_read_whole(self, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
        monkeypatch.setattr("zt.cluster.audit_log._LONGEST_LINE", 4096)
        log = LINES[4] + b'{"type":"request","request":{"path":"' + b"x" * 100_000 + b'"}}\n' + LINES[5]
        done = run("shop/api", "--file", "-", "--format", "json", stdin=log)
        assert shown(done) == [("shop/api", "read", "allowed", 2)]
        assert json.loads(done.stdout)["skipped"]["broken"] == 1

    def test_a_path_cannot_write_to_the_terminal(self, run: Run) -> None:
        log = line(path="secret/data/\x1b[2J[red]\nshop")
        done = run("shop/api", "--file", "-", stdin=log)
        assert r"secret/data/\x1b[2J[red]\nshop" in done.stdout
        assert "\x1b" not in done.stdout


class TestBounds:
    def test_what_waits_for_its_response_is_bounded(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("zt.cluster.audit_log._REMEMBERED", 3)
        log = tmp_path / "audit.log"
        log.write_bytes(b"".join(line(type="request", id=str(number)) for number in range(10)))
        found = list(accesses([str(log)], EntryFilter(), Tally()))
        assert [entry.request for entry in found] == [str(number) for number in range(10)]
        assert {entry.outcome for entry in found} == {Outcome.UNANSWERED}

    def test_a_log_is_read_as_it_is_asked_for(self, tmp_path: Path) -> None:
        log, tally = tmp_path / "audit.log", Tally()
        log.write_bytes(b"".join(line(id=str(number)) for number in range(1000)))
        assert next(accesses([str(log)], EntryFilter(), tally)).request == "0"
        assert tally.lines < 5


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (PATH, "secret/shop/api/database"),
        ("secret/metadata/shop/api/", "secret/shop/api"),
        ("secret/data/shop/data/keys", "secret/shop/data/keys"),
        ("database/creds/shop.api", "database/creds/shop.api"),
        ("secret/data", "secret/data"),
        ("secret", "secret"),
    ],
)
def test_the_path_of_a_secret(path: str, secret: str) -> None:
    assert secret_path(path) == secret


def test_a_service_that_is_called_data_keeps_its_name() -> None:
    found = parse_line(line(path="secret/data/shop/data/keys"))
    assert found is not None
    for written in ("shop/data/keys", "secret/shop/data/keys", "secret/data/shop/data/keys"):
        assert EntryFilter(secret=written).matches(found[1])
    assert not EntryFilter(secret="shop/keys").matches(found[1])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(LINES), st.integers(min_value=0, max_value=4000))
def test_a_line_that_is_cut_off_is_told_as_broken(whole: bytes, length: int) -> None:
    cut = whole[: min(length, len(whole.rstrip()) - 1)]
    if cut:
        with pytest.raises(json.JSONDecodeError):
            parse_line(cut)


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "request", "auth", "metadata", "time", "path", "id", "policy_results", "response", "data"]
                ),
                inner | st.sampled_from(["request", "response", "2026-11-25T03:54:55.271Z"]),
            )
        ),
    )
    | st.binary()
)
def test_whatever_a_line_holds_it_is_an_entry_foreign_or_broken(held: object) -> None:
    try:
        found = parse_line(held if isinstance(held, bytes) else json.dumps(held).encode())
    except ValueError:
        return
    assert found is None or found[1].outcome in Outcome
