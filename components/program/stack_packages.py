"""The packages of a stack: their files, and what their charts render, checked against each other."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import MappingProxyType

from components.kube.charts import ChartSources
from components.kyverno.library import GROUP, Rule
from components.package.args import RenderedPackage
from components.package.file.directory import PackageFile
from components.package.rendered.checks import findings, left_out
from components.package.rendered.helm import Renderer, RenderError
from components.package.rendered.objects import Identity, Rendered, RenderedObject, rendered_objects
from components.schema.problem import ConfigError, Problem


def render_packages(
    root: Path,
    charts: ChartSources,
    files: Sequence[PackageFile],
    rules: Iterable[Rule] = (),
    own: Mapping[str, str] = MappingProxyType({}),
) -> tuple[RenderedPackage, ...]:
    """The packages with what their charts render. Raises `ConfigError` for what is not as their files say.

    `rules` are the platform's own: no package brings an object that is one of them. `own` are the labels of pods that
    name the stack's control plane of the mesh.
    """
    problems: list[Problem] = []
    owners = objects_of_rules(rules)
    packages: list[RenderedPackage] = []
    for file in files:
        try:
            made = rendered_objects(Renderer(root, charts).manifests(file.spec), file.spec.namespace)
        except RenderError as error:
            problems.append(file.problem(error.key, error.message, error.value))
        else:
            problems += (file.problem(*found) for found in findings(file.spec, made, own))
            problems += _shared(file, left_out(file.spec, made), owners)
            packages.append(RenderedPackage(file.spec, Rendered(left_out(file.spec, made))))
    if problems:
        raise ConfigError(problems)
    return tuple(packages)


def objects_of_rules(rules: Iterable[Rule]) -> dict[Identity, str]:
    """The policies that the platform's rules are, each with whose it is."""
    return {(GROUP, rule.kind, "", rule.name): "the platform's rules" for rule in rules}


def _shared(
    file: PackageFile, objects: Sequence[RenderedObject], owners: MutableMapping[Identity, str]
) -> Iterator[Problem]:
    """The objects that another package brings, too, or that the platform has: one would be applied over the other."""
    for each in objects:
        owner = owners.setdefault(each.identity, file.file)
        if owner != file.file:
            message = (
                f"it brings {each.kind} {each.name}, which is one of {owner}: leave it out, or rename it in values"
            )
            yield file.problem(("without",), message, f"{each.kind} {each.name}")
