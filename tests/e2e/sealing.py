"""A Vault that stays sealed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import requests
from hvac.exceptions import VaultError

from tests.support.vault_server import Bao

_AGAIN_SECONDS = 0.02


@contextmanager
def kept_sealed(bao: Bao) -> Iterator[None]:
    """Sealed for as long as the block takes: a server with a static seal opens itself again every five seconds."""
    ended = Event()

    def keep() -> None:
        while not ended.wait(_AGAIN_SECONDS):
            # It takes nobody's word while it is sealed, or about to be.
            with suppress(requests.RequestException, VaultError):
                bao.client.sys.seal()

    bao.client.sys.seal()
    keeper = Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
