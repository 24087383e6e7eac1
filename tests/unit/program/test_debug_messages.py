"""The SDK's messages for `--debug`: the engine is asked nothing, unless somebody wants them."""

import pulumi
import pytest

from components.program.debug_messages import WANTED, leave_out_debug_messages

pytestmark = pytest.mark.unit

# A test that runs the program leaves the module without it.
DEBUG = pulumi.log.debug


class Engine:
    """Takes down the texts of the messages that it is sent."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def Log(self, request: object) -> None:  # noqa: N802 - the name that the engine's protocol gives it
        self.messages.append(request.message)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("environment", "sent"), [({}, ["told"]), ({WANTED: ""}, ["told"]), ({WANTED: "1"}, ["step", "told"])]
)
def test_debug_messages_are_sent_when_they_are_asked_for(
    environment: dict[str, str], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    monkeypatch.setattr(pulumi.log, "get_engine", lambda: engine)
    monkeypatch.setattr(pulumi.log, "debug", DEBUG)
    leave_out_debug_messages(environment)
    pulumi.log.debug("step")
    pulumi.log.warn("told")
    assert engine.messages == sent
