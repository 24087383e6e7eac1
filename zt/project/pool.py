"""Threads of a command that runs tools or asks servers beside each other."""

from concurrent.futures import ThreadPoolExecutor


class Pool(ThreadPoolExecutor):
    """A pool that gives up what it has not begun when its block is left by an error or an interrupt."""

    def __exit__(self, *error: object) -> None:
        """Wait for what runs; after an error, for nothing else."""
        self.shutdown(cancel_futures=error[0] is not None)
