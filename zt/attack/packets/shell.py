"""The program that sends packets, for a container with `sh` and `curl`, and what its output means."""

import shlex
from collections.abc import Mapping, Sequence

from zt.attack.evidence import short
from zt.attack.packets.packet import HTTP, HTTP2, NAME, TCP, Arrival, Packet

NEEDS = ("sh", "-c", "curl --version")
"""Ends with 0 in a container that has what the program needs."""

AT_ONCE = 4
"""So many packets are in one program. The memory for it is that of the application's container, which has a limit."""

SECONDS = 30.0
_CONNECT_SECONDS, _ANSWER_SECONDS = 3, 5
_CONNECTED = "connected="
# Nothing of the container's own settings: no curlrc, no proxy. An answer that is not HTTP is one, too, and without a
# buffer it stands before the error of a connection that stays open.
_CURL = (
    f"curl -q -s -S -N -i -g --http0.9 --noproxy '*' -A zt-attack --connect-timeout {_CONNECT_SECONDS} "
    f"-m {_ANSWER_SECONDS} -w '%{{stderr}}{_CONNECTED}%{{time_connect}} '"
)
# What servers answer to anybody: PostgreSQL "do you speak TLS?" with a letter, and Redis a line, though it asks for a
# password. https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest
# https://redis.io/docs/latest/develop/reference/protocol-spec/, inline commands
_WORDS_FOR_SERVERS = (r"\000\000\000\010\004\322\026\057", r"PING\r\n")
# The function flattens what was heard to a line, with no other program than the shell itself.
_HEAD = f"""set -f; IFS=$(printf ' \\t\\n\\r.'); IFS=${{IFS%.}}
say() {{
  n=$1; c=$2; t=${{3##*{_CONNECTED}}}; t=${{t%% *}}
  set -- $3
  printf '%s %s %s %.600s\\n' "$n" "$c" "${{t:-0}}" "$*"
}}
"""
_NO_SUCH_NAME = 6
_WORDS, _CHARACTERS = 3, 40
_DENIED = "RBAC: access denied"
# What a proxy says for itself, of a place that it has no way to: https://www.envoyproxy.io/docs/envoy/latest/
_PROXY_ERRORS = ("upstream connect error", "no healthy upstream", "upstream request timeout")
_GATEWAY_ERRORS = ("502", "503", "504")


def program(packets: Sequence[Packet]) -> str:
    """A shell's program that sends packets at once and prints, for each, a line with its number."""
    lines = (_sending(number, packet) for number, packet in enumerate(packets))
    return _HEAD + "\n".join(lines) + "\nwait\n"


def _sending(number: int, packet: Packet) -> str:
    host = f"[{packet.host}]" if ":" in packet.host else packet.host
    place = shlex.quote(f"{host}:{packet.port}")
    more = {
        HTTP2: [f"{_CURL} --http2-prior-knowledge http://{place}/"],
        TCP: [f"printf '{words}' | {_CURL} telnet://{place}" for words in _WORDS_FOR_SERVERS],
    }
    questions = [f"{_CURL} http://{place}/", *more.get(packet.question, [])]
    asked = " ".join(f'o=$({question} 2>&1); say {number} $? "$o";' for question in questions)
    return f"{{ {asked} }} &"


def answers(packets: Sequence[Packet], output: str) -> list[tuple[Arrival, str]]:
    """What became of each packet, by what the program printed."""
    heard_of: Mapping[int, list[tuple[Arrival, str]]] = {number: [] for number in range(len(packets))}
    for line in output.splitlines():
        number, code, connected, heard = (*line.split(" ", 3), "", "", "")[:4]
        if number.isdigit() and code.isdigit() and int(number) in heard_of:
            packet = packets[int(number)]
            heard_of[int(number)].append(_meaning(packet, int(code), connected.strip("0.") != "", heard))
    return [_best(heard_of[number]) for number in range(len(packets))]


def _best(replies: Sequence[tuple[Arrival, str]]) -> tuple[Arrival, str]:
    """Of several questions to one place the answer that says most: one that was answered decides."""
    for arrival in (Arrival.OPEN, Arrival.SILENT, Arrival.REFUSED):
        if said := next((answer for one, answer in replies if one is arrival), None):
            return arrival, said
    return Arrival.NOT_SENT, "the program in the container printed nothing of it"


def _meaning(packet: Packet, code: int, connected: bool, printed: str) -> tuple[Arrival, str]:
    heard, _, error = (" ".join(part.split()) for part in printed.partition(_CONNECTED)[0].partition("curl: ("))
    error = error.partition(") ")[2] or f"curl ended with {code}"
    if packet.question == NAME:
        return _of_name(code, heard, error)
    if not connected and not heard:
        return Arrival.REFUSED, short(error)
    if not heard:
        # HTTP is answered by whoever speaks it.
        silent = Arrival.REFUSED if packet.question == HTTP else Arrival.SILENT
        return silent, short(f"taken, and no answer: {error}")
    if _by_proxy(heard):
        return Arrival.REFUSED, f"the proxy says: {_beginning(heard)}"
    return Arrival.OPEN, f"heard: {_beginning(heard)}"


def _of_name(code: int, heard: str, error: str) -> tuple[Arrival, str]:
    return (
        (Arrival.REFUSED, short(error))
        if code == _NO_SUCH_NAME
        else (Arrival.OPEN, short(f"found: {_beginning(heard) or error}"))
    )


def _beginning(heard: str) -> str:
    """What shows that something answered, and no more: what it says may be for nobody to read."""
    return " ".join(heard.split(" ")[:_WORDS])[:_CHARACTERS]


def _by_proxy(heard: str) -> bool:
    """Whether an answer is the proxy's own: it denies, or has no way to the place."""
    words = heard.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2:
        return False
    status = words[1]
    if status == "403":
        return heard.endswith(_DENIED)
    if status not in _GATEWAY_ERRORS or "server: envoy" not in heard.lower():
        return False
    # A place that the mesh does not know is answered with an empty body.
    return "content-length: 0" in heard.lower() or any(error in heard for error in _PROXY_ERRORS)
