"""The packages of a stack: their files, and what their charts render, checked against each other."""

from collections.abc import Sequence
from pathlib import Path

from components.kube.charts import ChartSources
from components.package.args import RenderedPackage
from components.package.file.directory import PackageFile
from components.package.rendered.checks import findings, left_out
from components.package.rendered.helm import Renderer, RenderError
from components.package.rendered.objects import Rendered, rendered_objects
from components.schema.problem import ConfigError, Problem


def render_packages(root: Path, charts: ChartSources, files: Sequence[PackageFile]) -> tuple[RenderedPackage, ...]:
    """The packages with what their charts render. Raises `ConfigError` for what is not as their files say."""
    problems: list[Problem] = []
    packages: list[RenderedPackage] = []
    for file in files:
        try:
            made = rendered_objects(Renderer(root, charts).manifests(file.spec), file.spec.namespace)
        except RenderError as error:
            problems.append(file.problem(error.key, error.message, error.value))
        else:
            problems += (file.problem(*found) for found in findings(file.spec, made))
            packages.append(RenderedPackage(file.spec, Rendered(left_out(file.spec, made))))
    if problems:
        raise ConfigError(problems)
    return tuple(packages)
