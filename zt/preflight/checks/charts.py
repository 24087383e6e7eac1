"""Where the charts come from: each repository has the pinned version, or the directory has each chart."""

from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import cast

import yaml

from components.kube.charts import CHARTS, GATEWAY_API_CRDS, OCI, REPOSITORIES, Chart, ChartSources
from components.schema.yaml_text import YAML_LOADER
from zt.preflight.line import Check, Line, Theme, fails, not_checked, ok
from zt.preflight.registry import Artifact, manifest
from zt.preflight.session import Session
from zt.preflight.web import Reply, Request, UnreachedError

_BUNDLE = "gateway.networking.k8s.io/bundle-version: "
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _used(session: Session, project: str) -> list[Chart]:
    """The charts of a project that the stack's releases take."""
    return [chart for chart in CHARTS if chart.project == project and session.created.chart(chart.name)]


def _charts(session: Session, charts: list[Chart]) -> Iterable[Line]:
    """The lines about the charts of one project, whose repository is asked for its index once."""
    sources = session.stack.charts
    if sources.directory is not None:
        for chart in charts:
            yield _in_directory(session, chart, Path(sources.directory))
        return
    repository = charts[0].repository(sources)
    try:
        if repository.startswith(OCI):
            for chart in charts:
                yield _in_registry(session, chart)
        else:
            reply = session.outside.web(Request(f"{repository}/index.yaml"))
            for chart in charts:
                yield _in_index(session, chart, reply)
    except UnreachedError as error:
        key = f"charts.repositories.{charts[0].project} in {session.file}"
        fix = f"open the way to it from this machine, or set {key}"
        yield fails(_about(*charts), f"{repository} does not answer: {error}", fix)


def _about(*charts: Chart) -> str:
    names = ", ".join(f"{chart.name} {chart.version}" for chart in charts)
    return f"chart{'' if len(charts) == 1 else 's'} {names}"


def _in_directory(session: Session, chart: Chart, directory: Path) -> Line:
    about, file = _about(chart), directory / chart.name / "Chart.yaml"
    pull = f"helm pull {_pulled(chart)} --version {chart.version} --untar --untardir {directory}"
    try:
        read: object = yaml.load(file.read_text(encoding="utf-8"), Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        return fails(
            about, f"{file}: {error.strerror or error}", f"{pull}, or correct charts.directory in {session.file}"
        )
    except (yaml.YAMLError, UnicodeDecodeError):
        return fails(about, f"{file} is no YAML", pull)
    version = str(cast("dict[str, object]", read).get("version", "none")) if isinstance(read, dict) else "none"
    if version.removeprefix("v") != chart.version.removeprefix("v"):
        return fails(about, f"{file} is of version {version}", f"rm -r {directory / chart.name}; {pull}")
    return ok(about, str(file.parent))


def _pulled(chart: Chart) -> str:
    repository = chart.repository(ChartSources())
    return f"{repository}/{chart.name}" if repository.startswith(OCI) else f"{chart.name} --repo {repository}"


def _in_registry(session: Session, chart: Chart) -> Line:
    about, repository = _about(chart), chart.repository(session.stack.charts).removeprefix(OCI)
    registry, _, path = repository.partition("/")
    # Helm writes a version with metadata in a tag, which has no plus.
    artifact = Artifact(registry, f"{path}/{chart.name}" if path else chart.name, chart.version.replace("+", "_"))
    reply = manifest(session.outside.web, artifact)
    if reply.status in _REFUSED:
        return not_checked(about, f"{artifact}: the registry asks for credentials", f"helm registry login {registry}")
    if not reply.ok:
        fix = f"copy it there: helm pull {_pulled(chart)} --version {chart.version}; helm push FILE {OCI}{repository}"
        return fails(about, f"{artifact}: {reply.status}", fix)
    digest, pinned = reply.headers.get("docker-content-digest", ""), session.stack.charts.digests.get(chart.name, "")
    if pinned and digest and digest != pinned:
        fix = f"look at what changed, then correct charts.digests.{chart.name} in {session.file}"
        return fails(about, f"{artifact} has the digest {digest}, not {pinned}", fix)
    return ok(about, f"{OCI}{artifact}{f', {pinned}' if pinned and digest else ''}")


def _in_index(session: Session, chart: Chart, reply: Reply) -> Line:
    about, repository = _about(chart), chart.repository(session.stack.charts)
    address = f"{repository}/index.yaml"
    key = f"charts.repositories.{chart.project} in {session.file}"
    if reply.status in _REFUSED:
        return not_checked(about, f"{address} asks for credentials", f"name a repository that asks for none: {key}")
    if not reply.ok:
        return fails(about, f"{address}: {reply.status}", f"correct {key}")
    try:
        read: object = yaml.load(reply.text, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        read = None
    entries = cast("dict[str, object]", read).get("entries") if isinstance(read, dict) else None
    if not isinstance(entries, dict):
        return fails(about, f"{address} is no index of charts", f"correct {key}")
    versions = _versions(cast("dict[str, object]", entries).get(chart.name))
    if chart.version.removeprefix("v") not in versions:
        found = f"{address} has {'another version of it' if versions else 'no such chart'}"
        return fails(about, found, f"bring this version there, or correct {key}")
    return ok(about, repository)


def _versions(entries: object) -> set[str]:
    listed = cast("list[object]", entries) if isinstance(entries, list) else []
    return {
        str(cast("dict[str, object]", each).get("version", "")).removeprefix("v")
        for each in listed
        if isinstance(each, dict)
    }


def _gateway_api(session: Session) -> Iterable[Line]:
    about = f"definitions of the Gateway API {GATEWAY_API_CRDS.version}"
    sources = session.stack.charts
    source = GATEWAY_API_CRDS.source(sources)
    if sources.directory is not None:
        yield _gateway_api_file(about, Path(source))
        return
    fix = f"open the way to it from this machine, or set charts.gatewayApi in {session.file}"
    try:
        reply = session.outside.web(Request(source, whole=False))
    except UnreachedError as error:
        yield fails(about, f"{source} does not answer: {error}", fix)
        return
    yield ok(about, source) if reply.ok else fails(about, f"{source}: {reply.status}", fix)


def _gateway_api_file(about: str, file: Path) -> Line:
    fix = f"curl --location --output {file} {GATEWAY_API_CRDS.url}"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return fails(about, f"{file}: {error.strerror or error}", fix)
    if f"{_BUNDLE}{GATEWAY_API_CRDS.version}" not in text:
        return fails(about, f"{file} is of another version", fix)
    return ok(about, str(file))


def _check(project: str) -> Check:
    return Check(
        f"charts-{project}",
        f"charts of {project}",
        lambda session: _charts(session, _used(session, project)),
        lambda session: bool(_used(session, project)),
    )


THEME = Theme(
    "charts",
    (
        *(_check(project) for project in REPOSITORIES),
        Check("gateway-api", "definitions of the Gateway API", _gateway_api, lambda s: bool(s.created.files)),
    ),
)
