"""The files of secrets that a service file names in its texts: each is there, for the container that names it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from components.schema.problem import Key
from components.service.file.checks import Finding
from components.service.file.containers import SidecarSpec
from components.service.file.probes import ProbesSpec
from components.service.file.service import ServiceSpec
from components.service.file.texts import texts_of, words

_DIRECTORY = "/vault/secrets"
# A name with a variable or a wildcard in it is none that a file could be compared with.
_NAMED = re.compile(rf"(?<![\w.-]){_DIRECTORY}/([A-Za-z0-9_](?:[\w.-]*[\w-])?)(?![\w*?$\[{{-]|\.[\w*?$\[{{-])")


def secret_path_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """The paths below `/vault/secrets` at which a container would find nothing, and fail or wait when it starts."""
    for spec in specs:
        for key, text, files in _texts(spec):
            for name in dict.fromkeys(_NAMED.findall(text)):
                if name not in files:
                    message = "no secret or database that this container reads is in this file"
                    legal = tuple(f"{_DIRECTORY}/{file}" for file in files)
                    yield spec, key, message, repr(f"{_DIRECTORY}/{name}"), legal


def _texts(spec: ServiceSpec) -> Iterator[tuple[Key, str, tuple[str, ...]]]:
    """Each text of a container or a job, with its key and the files that are there."""
    named = {name: (secret.file or name,) for name, secret in spec.secrets.items()}
    named |= {name: database.file_names(name) for name, database in spec.all_databases.items()}
    files = _sorted(named.values())
    for key, text in (*texts_of((), spec), *_asked((), spec.probes)):
        yield key, text, files
    for above, each in spec.containers:
        own = _sorted(named[name] for name in each.reads)
        probes = each.probes if isinstance(each, SidecarSpec) else None
        for key, text in (*texts_of(above, each), *_asked(above, probes)):
            yield key, text, own
    for name, job in spec.jobs.items():
        own = _sorted(named[each] for each in (*job.secrets, *job.accesses))
        # A job has the service's variables and files as they are, and need not heed them.
        for key, text in words(("jobs", name), job.command, job.args):
            yield key, text, own


def _sorted(files: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(name for names in files for name in names))


def _asked(above: Key, probes: ProbesSpec | None) -> Iterator[tuple[Key, str]]:
    """The words of the commands of probes."""
    if probes:
        for kind, probe in (
            ("readiness", probes.readiness),
            ("liveness", probes.liveness),
            ("startup", probes.startup),
        ):
            yield from words((*above, "probes", kind), probe.command if probe else (), ())
