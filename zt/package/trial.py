"""Renders a chart with some values, and says what is wrong with it: what the rules refuse, and who has no account."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from components.kube.manifest import Manifest
from components.package.file.keys import PackageSpec
from components.package.rendered.api_calls import CalledPort, called_ports
from components.package.rendered.checks import Beyond, beyond_the_package
from components.package.rendered.helm import Renderer, RenderError
from components.package.rendered.objects import Identity, Rendered, RenderedObject, rendered_objects
from components.package.rendered.reach import refused
from zt.check.kyverno_result import Result
from zt.check.plan import Plan, PlannedObject
from zt.project.pool import Pool

Values = Mapping[str, object]
Judge = Callable[[Plan], list[Result]]
_RENDERINGS = 4


@dataclass(frozen=True, order=True)
class Violation:
    """A rule that an object of the chart does not keep to."""

    rule: str
    kind: str
    name: str

    def __str__(self) -> str:
        """As a comment says it."""
        return f"{self.rule} of {self.name}"


@dataclass(frozen=True)
class Trial:
    """What comes of some values. `account` has the workloads that run as no account of their own."""

    values: Values
    objects: tuple[RenderedObject, ...]
    violations: frozenset[Violation] = frozenset()
    accounts: frozenset[str] = frozenset()
    """The workloads without a service account of the chart's own."""
    refused: frozenset[tuple[str, str]] = frozenset()
    """Kind and name of what no package may bring, such as a Service that is open to the outside."""

    @property
    def problems(self) -> frozenset[Violation]:
        """All that a value may mend."""
        nobody = {Violation("service account", "", name) for name in self.accounts}
        admitted_never = {Violation("admission", kind, name) for kind, name in self.refused}
        return self.violations | nobody | admitted_never

    @property
    def identities(self) -> frozenset[tuple[str, str]]:
        """Kind and name of each object."""
        return frozenset((each.kind, each.name) for each in self.objects)


@dataclass
class Trials:
    """Tries values of one chart. What an object comes to under the rules is asked once."""

    spec: PackageSpec
    renderer: Renderer
    policies: Sequence[Manifest]
    judge: Judge
    _known: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def of(self, every: Sequence[Values]) -> list[Trial | None]:
        """The trial of each of these values; `None` where the chart does not render."""
        with Pool(_RENDERINGS) as pool:
            rendered = list(pool.map(self._render, every))
        self._ask([each for objects in rendered for each in objects or () if each.template is not None])
        return [
            self._trial(values, objects) if objects is not None else None
            for values, objects in zip(every, rendered, strict=True)
        ]

    def first(self, values: Values) -> Trial:
        """The trial of these values. Raises `RenderError`."""
        objects = rendered_objects(self.renderer.manifests(self._with(values)), self.spec.namespace)
        self._ask([each for each in objects if each.template is not None])
        return self._trial(values, objects)

    def _with(self, values: Values) -> PackageSpec:
        return self.spec.model_copy(update={"values": dict(values)})

    def _render(self, values: Values) -> tuple[RenderedObject, ...] | None:
        try:
            made = self.renderer.manifests(self._with(values), steady=False)
            return rendered_objects(made, self.spec.namespace)
        except RenderError:
            return None

    def _trial(self, values: Values, objects: tuple[RenderedObject, ...]) -> Trial:
        rendered = Rendered(objects)
        violations = frozenset(
            Violation(rule, each.kind, each.name)
            for each in objects
            if each.template is not None
            for rule in self._known[repr(each.manifest)]
        )
        nobody = (each.name for each in rendered.workloads if each.account not in rendered.accounts)
        never = frozenset((each.kind, each.name) for each in objects if refused(each))
        return Trial(values, objects, violations, frozenset(nobody), never)

    def _ask(self, objects: Iterable[RenderedObject]) -> None:
        """Ask the rules about the objects that are new, all at once: each stands in a namespace of its own."""
        new = {repr(each.manifest): each for each in objects if repr(each.manifest) not in self._known}
        places = {f"trial-{number}": key for number, key in enumerate(new)}
        planned = tuple(
            PlannedObject(_in_namespace(new[key].manifest, place), key, "", ("", 0)) for place, key in places.items()
        )
        failed: dict[str, set[str]] = {key: set() for key in new}
        for result in self.judge(Plan("", planned, tuple(self.policies))) if planned else ():
            if result.result == "fail":
                failed[places[result.identity[2]]].add(result.policy)
        self._known |= {key: frozenset(rules) for key, rules in failed.items()}


def _in_namespace(manifest: Manifest, namespace: str) -> Manifest:
    placed = deepcopy(manifest)
    cast("Manifest", placed["metadata"])["namespace"] = namespace
    return placed


@dataclass(frozen=True)
class Unsettled:
    """What the file has to say beside values: the objects to leave out or to grant, and the ports of the API server."""

    beyond: tuple[Beyond, ...]
    called: tuple[CalledPort, ...]


def unsettled(
    spec: PackageSpec, objects: Sequence[RenderedObject], taken: Mapping[Identity, str] = MappingProxyType({})
) -> Unsettled:
    """What has to be left out, granted or opened. `taken` has the objects that are somebody else's, and whose."""
    out = {
        each.identity: Beyond("without", each, "", taken[each.identity]) for each in objects if each.identity in taken
    }
    beyond = [out.get(each.object.identity, each) for each in beyond_the_package(spec, objects)]
    beyond += [each for identity, each in out.items() if all(one.object.identity != identity for one in beyond)]
    kept = tuple(each for each in objects if all(one.object != each for one in beyond if one.section == "without"))
    return Unsettled(tuple(beyond), tuple(called_ports(spec, Rendered(kept))))
