"""Snapshots of a Vault with raft storage, and the way back; each server is a real one of its own."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from components.kube.charts import OPENBAO_IMAGE
from components.kube.names import OPERATOR
from components.vault.operator import operator_policy
from components.vault.policy import SNAPSHOT_PATH
from components.vault.snapshots import SNAPSHOTS, TOKEN_DIRECTORY, SnapshotArgs, role_fields, script
from components.vault.snapshots import snapshot_policy as policy_of_the_job
from tests.e2e.plane import PROJECT
from tests.e2e.sealing import kept_sealed
from tests.e2e.test_vault_bootstrap import encoded
from tests.support.vault_server import Bao, running_bao
from tests.support.waiting import eventually
from zt.vault.snapshot import read_snapshot

pytestmark = pytest.mark.e2e

SECRET = "shop/api/database"
RESTORE = "restore"
OTHERS = (
    f"secret/data/{SECRET}",
    "secret/metadata/shop",
    "sys/mounts",
    "sys/policies/acl/root",
    "auth/token/accessors",
)


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with running_bao(tmp_path_factory.mktemp("raft"), raft=True) as server:
        prepare(server)
        yield server


def prepare(bao: Bao) -> None:
    """A secret, and who may take a snapshot or restore one, and nothing else."""
    bao.client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    eventually(lambda: written(bao, "first"), "KV v2 takes a secret")
    restores = f'path "{SNAPSHOT_PATH}" {{ capabilities = ["update"] }}'
    restores += f' path "{SNAPSHOT_PATH}-force" {{ capabilities = ["update"] }}'
    for name, policy in ((SNAPSHOTS, policy_of_the_job()), (OPERATOR, operator_policy()), (RESTORE, restores)):
        bao.write(f"sys/policies/acl/{name}", policy=policy)


def written(bao: Bao, password: str) -> bool:
    try:
        return bool(bao.client.secrets.kv.v2.create_or_update_secret(SECRET, {"password": password}))
    except hvac.exceptions.InvalidRequest:
        # The engine is still being made ready for versions.
        return False


def password(bao: Bao) -> str:
    return bao.client.secrets.kv.v2.read_secret_version(SECRET, raise_on_deleted_version=True)["data"]["data"][
        "password"
    ]


def token_of(bao: Bao, policy: str) -> str:
    made = bao.client.auth.token.create_orphan(policies=[policy], no_default_policy=True)
    return made["auth"]["client_token"]


def zt(bao: Bao, token: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VAULT_")}
    own = {"VAULT_ADDR": bao.address, "VAULT_CACERT": bao.ca_file, "VAULT_TOKEN": token, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "zt", "vault", *arguments],
        cwd=PROJECT,
        env={**kept, **own},
        input=given,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def taken(bao: Bao, file: Path) -> Path:
    """A snapshot that the operator took."""
    done = zt(bao, token_of(bao, OPERATOR), "snapshot", str(file))
    assert done.returncode == 0, done.stderr
    return file


class TestSnapshot:
    def test_the_operator_takes_one_that_tells_no_secret(self, bao: Bao, tmp_path: Path) -> None:
        file = tmp_path / "vault.snap"
        done = zt(bao, token_of(bao, OPERATOR), "snapshot", str(file), "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert (told["file"], told["bytes"], told["vault"]) == (str(file), file.stat().st_size, bao.address)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [entry.name for entry in tmp_path.iterdir()] == [file.name]
        assert subprocess.run(["gunzip", "-c", str(file)], capture_output=True, check=False).stdout.count(b"first") == 0

    def test_a_file_that_is_there_stays_without_the_flag(self, bao: Bao, tmp_path: Path) -> None:
        file = tmp_path / "vault.snap"
        file.write_text("mine")
        refused = zt(bao, token_of(bao, OPERATOR), "snapshot", str(file))
        assert (refused.returncode, file.read_text()) == (2, "mine")
        assert "--overwrite replaces it" in refused.stderr
        assert zt(bao, token_of(bao, OPERATOR), "snapshot", str(file), "--overwrite").returncode == 0
        assert read_snapshot(file).size == file.stat().st_size

    def test_without_the_right_nothing_is_left(self, bao: Bao, tmp_path: Path) -> None:
        refused = zt(bao, token_of(bao, RESTORE), "snapshot", str(tmp_path / "vault.snap"))
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
        assert "permission denied" in refused.stderr
        assert not list(tmp_path.iterdir())


class TestRestore:
    def token(self, bao: Bao, directory: Path, policy: str = RESTORE) -> str:
        file = directory / "token"
        file.touch(mode=0o600)
        file.write_text(token_of(bao, policy))
        return str(file)

    def test_a_changed_secret_is_as_it_was_and_later_tokens_are_gone(self, bao: Bao, tmp_path: Path) -> None:
        assert written(bao, "first")
        file = taken(bao, tmp_path / "vault.snap")
        assert written(bao, "second")
        later = token_of(bao, OPERATOR)
        given = Path(self.token(bao, tmp_path)).read_text()
        done = zt(bao, "", "restore", str(file), "--token-file", "-", "--yes", given=f"{given}\n")
        assert done.returncode == 0, done.stderr
        assert password(bao) == "first"
        for token in (later, given):
            with pytest.raises(hvac.exceptions.Forbidden):
                hvac.Client(url=bao.address, verify=bao.ca_file, token=token).auth.token.lookup_self()
        assert given not in done.stdout + done.stderr

    @pytest.mark.parametrize("policy", [OPERATOR, SNAPSHOTS])
    def test_who_takes_snapshots_restores_none(self, bao: Bao, tmp_path: Path, policy: str) -> None:
        file = taken(bao, tmp_path / "vault.snap")
        assert written(bao, "third")
        token = self.token(bao, tmp_path, policy)
        refused = zt(bao, "", "restore", str(file), "--token-file", token, "--yes")
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
        assert "permission denied" in refused.stderr
        vault = hvac.Client(url=bao.address, verify=bao.ca_file, token=Path(token).read_text())
        with file.open("rb") as content, pytest.raises(hvac.exceptions.Forbidden):
            vault.sys.force_restore_raft_snapshot(content)
        assert password(bao) == "third"

    def test_it_asks_first_and_for_a_token_of_its_own(self, bao: Bao, tmp_path: Path) -> None:
        file = taken(bao, tmp_path / "vault.snap")
        token = self.token(bao, tmp_path)
        assert zt(bao, "", "restore", str(file), "--token-file", token).returncode == 2
        assert zt(bao, bao.token, "restore", str(file), "--yes").returncode == 2

    def test_what_is_no_snapshot_never_reaches_vault(self, bao: Bao, tmp_path: Path) -> None:
        file, token = taken(bao, tmp_path / "vault.snap"), self.token(bao, tmp_path)
        file.write_bytes(file.read_bytes()[:-200])
        refused = zt(bao, "", "restore", str(file), "--token-file", token, "--yes")
        assert refused.returncode == 2
        assert "not a snapshot of Vault, or cut off" in refused.stderr

    def test_a_lost_vault_comes_back_in_a_new_one_with_the_same_seal(self, bao: Bao, tmp_path: Path) -> None:
        assert written(bao, "before the fire")
        file = taken(bao, tmp_path / "vault.snap")
        root = bao.token
        new_place = tmp_path / "new"
        new_place.mkdir()
        shutil.copy(bao.directory / "seal.key", new_place)
        with running_bao(new_place, raft=True) as new:
            token = new_place / "token"
            token.touch(mode=0o600)
            token.write_text(new.token)
            done = zt(new, "", "restore", str(file), "--token-file", str(token), "--yes", "--force")
            assert done.returncode == 0, done.stderr
            new.token = root
            eventually(lambda: served(new), "it serves what it was given")
            assert password(new) == "before the fire"

    def test_a_vault_with_another_seal_takes_it_for_damaged(self, bao: Bao, tmp_path: Path) -> None:
        file = taken(bao, tmp_path / "vault.snap")
        new_place = tmp_path / "new"
        new_place.mkdir()
        with running_bao(new_place, raft=True) as new:
            token = new_place / "token"
            token.touch(mode=0o600)
            token.write_text(new.token)
            refused = zt(new, "", "restore", str(file), "--token-file", str(token), "--yes")
            assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
            assert served(new)
            with kept_sealed(new):
                sealed = zt(new, new.token, "snapshot", str(tmp_path / "none.snap"))
            assert sealed.returncode == 3
            assert "is sealed: unseal it first" in sealed.stderr


def served(bao: Bao) -> bool:
    try:
        return bool(bao.client.auth.token.lookup_self())
    except hvac.exceptions.VaultError:
        return False


class TestJob:
    """The CronJob's own script, with a login that asks for what the role does: account, audience, uses."""

    ARGS = SnapshotArgs(OPENBAO_IMAGE, "15 */6 * * *", keep=2, size="1Gi", program="bao")

    @pytest.fixture
    def pod(self, bao: Bao, tmp_path: Path) -> Path:
        """A directory that stands for the root of the pod, with its service account's token."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        # The cluster reviews tokens; its signature is checked here in its place, at the same path.
        if "kubernetes/" not in bao.client.sys.list_auth_methods()["data"]:
            bao.client.sys.enable_auth_method("jwt", path="kubernetes")
        bao.write("auth/kubernetes/config", jwt_validation_pubkeys=[public.decode()])
        fields = role_fields()
        (account,), (namespace,) = (fields.pop(f"bound_service_account_{part}") for part in ("names", "namespaces"))
        subject = f"system:serviceaccount:{namespace}:{account}"
        claims = {"role_type": "jwt", "user_claim": "sub", "bound_subject": subject}
        bao.write(f"auth/kubernetes/role/{SNAPSHOTS}", bound_audiences=[fields.pop("audience")], **claims, **fields)
        for name in ("token", "snapshots", "home"):
            (tmp_path / name).mkdir()
        (tmp_path / "token" / "token").write_text(jwt(key, subject))
        return tmp_path

    def run(self, bao: Bao, pod: Path) -> subprocess.CompletedProcess[str]:
        text = script(self.ARGS, "kubernetes").replace(TOKEN_DIRECTORY, str(pod / "token"))
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(pod / "home"),
            "VAULT_ADDR": bao.address,
            "VAULT_CACERT": bao.ca_file,
            "VAULT_TLS_SERVER_NAME": "bao",
        }
        return subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=pod / "snapshots",
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def test_it_writes_a_snapshot_and_keeps_the_newest(self, bao: Bao, pod: Path) -> None:
        kept = pod / "snapshots"
        for day in ("20200101", "20200102", "20200103"):
            (kept / f"vault-{day}T000000Z.snap").write_text("old")
        (kept / ".new").write_text("what a run left that was cut off")
        done = self.run(bao, pod)
        assert done.returncode == 0, done.stderr
        oldest, newest = sorted(kept.iterdir())
        assert oldest.name == "vault-20200103T000000Z.snap"
        assert read_snapshot(newest).index
        assert stat.S_IMODE(newest.stat().st_mode) == 0o600

    def test_its_token_is_used_up(self, bao: Bao, pod: Path) -> None:
        assert self.run(bao, pod).returncode == 0
        file = pod / "home" / ".vault-token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(hvac.exceptions.Forbidden):
            hvac.Client(url=bao.address, verify=bao.ca_file, token=file.read_text()).adapter.get(f"/v1/{SNAPSHOT_PATH}")

    def test_when_vault_refuses_the_old_ones_stay(self, bao: Bao, pod: Path) -> None:
        kept = pod / "snapshots"
        for day in ("20200101", "20200102", "20200103"):
            (kept / f"vault-{day}T000000Z.snap").write_text("old")
        (pod / "token" / "token").write_text("another account's")
        assert self.run(bao, pod).returncode != 0
        assert len(list(kept.glob("vault-*.snap"))) == 3

    def test_its_login_may_do_nothing_else(self, bao: Bao) -> None:
        client: Any = hvac.Client(url=bao.address, verify=bao.ca_file, token=token_of(bao, SNAPSHOTS))
        for path in OTHERS:
            for attempt in (client.read, client.list, client.delete):
                with pytest.raises(hvac.exceptions.Forbidden):
                    attempt(path)
        for path in (SNAPSHOT_PATH, f"{SNAPSHOT_PATH}-force", f"secret/data/{SECRET}", "auth/token/create", "sys/seal"):
            with pytest.raises(hvac.exceptions.Forbidden):
                client.write(path)


def jwt(key: ec.EllipticCurvePrivateKey, subject: str) -> str:
    """A token as the API server signs it for the job's pod."""
    now = int(time.time())
    claims = {"iss": "https://kubernetes.default.svc", "sub": subject, "aud": ["vault"], "iat": now, "exp": now + 600}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256"}, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
