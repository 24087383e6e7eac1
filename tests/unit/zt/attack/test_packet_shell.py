"""The shell's program that sends packets, and the meaning of each line that it prints."""

import pytest

from tests.unit.zt.attack.packets import DENIED, LETTER, NO_NAME, NOWHERE, PAGE, REFUSED, SILENCE
from zt.attack.network import Address, Pod
from zt.attack.packets.packet import HTTP, HTTP2, NAME, TCP, Arrival, Packet, Sender, Way
from zt.attack.packets.shell import answers, program


def packet(question: str, host: str = "10.0.0.1") -> Packet:
    return Packet(
        Sender(Pod("shop", {}, name="api"), meshed=True), Address(host), host, 80, Way.ADDRESS, question, None
    )


@pytest.mark.parametrize(
    ("question", "line", "arrival"),
    [
        (HTTP, PAGE, Arrival.OPEN),
        (HTTP, DENIED, Arrival.REFUSED),
        (HTTP, NOWHERE, Arrival.REFUSED),
        (HTTP, REFUSED, Arrival.REFUSED),
        # Whoever speaks HTTP answers; others may wait for words of their own.
        (HTTP, SILENCE, Arrival.REFUSED),
        (HTTP2, SILENCE, Arrival.SILENT),
        (TCP, SILENCE, Arrival.SILENT),
        (TCP, LETTER, Arrival.OPEN),
        # The connection stays open: what was heard stands before the error.
        (TCP, "28 0.003 N curl: (28) Time-out connected=0.003", Arrival.OPEN),
        (TCP, "56 0.001 curl: (56) Recv failure: Connection reset by peer connected=0.001", Arrival.SILENT),
        (TCP, "28 0.000000 curl: (28) Connection timed out connected=0.000000", Arrival.REFUSED),
        # What the service says itself, though it looks like the proxy's.
        (HTTP, "0 0.001 HTTP/1.1 403 Forbidden server: envoy not for you connected=0.001", Arrival.OPEN),
        (HTTP, "0 0.001 HTTP/1.1 502 Bad Gateway server: own content-length: 0 connected=0.001", Arrival.OPEN),
        (HTTP, "0 0.001 HTTP/1.1 503 x server: envoy upstream connect error or connected=0.001", Arrival.REFUSED),
        (NAME, NO_NAME, Arrival.REFUSED),
        (NAME, REFUSED, Arrival.OPEN),
    ],
)
def test_the_meaning_of_an_answer(question: str, line: str, arrival: Arrival) -> None:
    [(became, said)] = answers([packet(question)], f"0 {line}\n")
    assert (became, bool(said)) == (arrival, True)


def test_of_two_questions_the_one_that_was_answered_decides() -> None:
    for lines in (f"0 {SILENCE}\n0 {LETTER}", f"0 {LETTER}\n0 {SILENCE}"):
        assert answers([packet(TCP)], lines)[0][0] is Arrival.OPEN
    assert answers([packet(TCP)], f"0 {REFUSED}\n0 {SILENCE}")[0][0] is Arrival.SILENT


def test_a_packet_of_which_nothing_is_printed_was_not_sent() -> None:
    printed = f"sh: out of memory\n1 {PAGE}\n7 {PAGE}\nx y z"
    assert [arrival for arrival, _ in answers([packet(HTTP)] * 2, printed)] == [Arrival.NOT_SENT, Arrival.OPEN]


def test_what_a_service_answers_is_not_repeated() -> None:
    [(_, said)] = answers([packet(HTTP)], "0 0 0.001 HTTP/1.1 200 OK set-cookie: secret connected=0.001")
    assert (said, "secret" in said) == ("heard: HTTP/1.1 200 OK", False)


def test_each_protocol_is_asked_in_its_own_words() -> None:
    asked = {question: program([packet(question)]) for question in (HTTP, HTTP2, TCP, NAME)}
    assert {question: text.count("curl -q") for question, text in asked.items()} == {HTTP: 1, HTTP2: 2, TCP: 3, NAME: 1}
    # Without it what was heard would come after the error of a connection that stays open.
    assert all(text.count("curl -q -s -S -N ") == text.count("curl -q") for text in asked.values())
    assert ("--http2-prior-knowledge" in asked[HTTP2], "telnet://" in asked[TCP]) == (True, True)


def test_no_host_is_read_as_a_command() -> None:
    assert "http://'x;id:80'/" in program([packet(HTTP, "x;id")])
    assert "http://'[fd00::1]:80'/" in program([packet(HTTP, "fd00::1")])
