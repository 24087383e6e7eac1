"""A network of plain data: containers that may have curl, a probe pod, and answers of who is there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from zt.attack.exec_api import Container, Printed
from zt.attack.kubernetes_api import Answer, Call
from zt.attack.packets.shell import NEEDS

PROBES = "/api/v1/namespaces/shop/pods"
PROBE = f"{PROBES}/zt-attack"
REFUSED = "7 0.000000 curl: (7) Failed to connect connected=0.000000"
SILENCE = "52 0.001000 curl: (52) Empty reply from server connected=0.001000"
DENIED = "0 0.001 HTTP/1.1 403 Forbidden server: envoy RBAC: access denied connected=0.001"
NOWHERE = "0 0.001 HTTP/1.1 502 Bad Gateway content-length: 0 server: envoy connected=0.001"
LETTER, PAGE = "0 0.001 N connected=0.001", "0 0.001 HTTP/1.1 200 OK content-length: 3 ok connected=0.001"
NO_NAME = "6 0.000000 curl: (6) Could not resolve host: example.com connected=0.000000"
_ASKED = re.compile(r"(http|telnet)://([^/' ]+):(\d+)[^;]*; say (\d+) ")


@dataclass
class Packets:
    """The containers with curl by the pod, and what each place says to each pod. Who is not named is refused."""

    with_curl: set[str] = field(default_factory=set[str])
    says: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    refuses: dict[str, Answer] = field(default_factory=dict[str, Answer])
    """The answer to a probe pod, by `hostNetwork` or by its service account."""
    probes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    removed: int = 0
    present: bool = False

    def execute(self, container: Container, command: Sequence[str], _seconds: float) -> Printed:
        name = container.pod.removesuffix("-1")
        if container.pod == "zt-attack":
            name = f"probe of {self.probes[-1]['spec']['serviceAccountName']}"
            assert self.present
        elif container.pod not in self.with_curl:
            return Printed(refused="exec failed: no such file or directory")
        if tuple(command) == NEEDS:
            return Printed("curl 8.0.0")
        asked = _ASKED.finditer(command[-1])
        return Printed("".join(f"{one[4]} {self._said(name, one)}\n" for one in asked))

    def _said(self, name: str, asked: re.Match[str]) -> str:
        said = self.says.get((name, f"{asked[2]}:{asked[3]}"), REFUSED)
        # Only the question of a database gets its letter.
        return SILENCE if said == LETTER and asked[1] == "http" else said

    def probe(self, call: Call) -> Answer:
        """What the API server says of the probe pod."""
        path = call.path.partition("?")[0]
        if call.method == "POST":
            spec = (call.body or {})["spec"]
            which = "hostNetwork" if spec.get("hostNetwork") else spec["serviceAccountName"]
            if which in self.refuses:
                return self.refuses[which]
            if "dryRun" not in call.path:
                self.probes.append(call.body or {})
                self.present = True
            return Answer(201, "", call.body or {})
        if path == PROBE and call.method == "DELETE":
            self.removed += self.present
            self.present = False
            return Answer(200, "")
        if path == PROBE and self.present:
            return Answer(200, "", {"status": {"containerStatuses": [{"state": {"running": {}}}]}})
        return Answer(404, "not found")
