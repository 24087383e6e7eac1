"""The texts of a service file that reach a program, each with its key."""

from collections.abc import Iterator, Sequence

from components.schema.problem import Key
from components.service.file.containers import ContainerSpec
from components.service.file.keys import ServiceKeys


def words(place: Key, command: Sequence[str], args: Sequence[str]) -> Iterator[tuple[Key, str]]:
    """The words of a command line."""
    for key, each in (("command", command), ("args", args)):
        yield from (((*place, key, number), word) for number, word in enumerate(each))


def texts_of(place: Key, program: ServiceKeys | ContainerSpec) -> Iterator[tuple[Key, str]]:
    """The words of a container's command line, the values of its variables, and its files of configuration."""
    yield from words(place, program.command, program.args)
    yield from (((*place, "env", name), value) for name, value in program.env.items())
    files = program.config.files if program.config else dict[str, str]()
    yield from (((*place, "config", "files", name), text) for name, text in files.items())
