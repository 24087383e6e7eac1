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
from zt.check.plan import Plan, PlannedObject, text
from zt.package.candidates import Change, merged
from zt.package.reading import changed_fields, names_in
from zt.project.pool import Pool
from zt.project.progress import Say

Values = Mapping[str, object]
Asked = Callable[[Manifest, PlannedObject], bool]
Judge = Callable[[Plan, Asked], list[Result]]
Objects = tuple[RenderedObject, ...]
_RENDERINGS = 4
# So many changes of one kind are rendered at once, to see whether any of them does something.
_TOGETHER = 8
_MUTATING = "MutatingPolicy"
# What Helm says of values that a chart's own schema has not: no other value changes that.
_SCHEMA = "values don't meet the specifications of the schema"


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
    objects: Objects
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


@dataclass(frozen=True)
class _Tried:
    """What a change did: to fields of workloads, and to `others`: what is no workload, or was not there."""

    fields: frozenset[str] = frozenset()
    others: bool = False
    legal: bool = True
    """Whether the chart's own schema has such values."""

    @property
    def does_nothing(self) -> bool:
        """Whether the same objects came of it."""
        return self.legal and not self.fields and not self.others


@dataclass(frozen=True)
class _Made:
    """The objects of a rendering; `None` if the chart does not render, with its schema as the reason or another one."""

    objects: Objects | None
    illegal: bool = False

    def against(self, before: Objects) -> _Tried:
        """What has changed in it."""
        if self.objects is None:
            return _Tried(others=not self.illegal, legal=not self.illegal)
        first, second = ({each.identity: each for each in every} for every in (before, self.objects))
        same = first.keys() == second.keys()
        pairs = [(first[key], second[key]) for key in first.keys() & second.keys() if first[key] != second[key]]
        of_workloads = [(one, other) for one, other in pairs if one.template is not None]
        fields = frozenset(
            field for one, other in of_workloads for field in changed_fields(one.manifest, other.manifest)
        )
        return _Tried(fields, not same or len(of_workloads) < len(pairs))


@dataclass
class Trials:
    """Tries values of one chart. What an object comes to under a rule is asked once.

    A rule is not asked about an object in which nothing has changed that it reads.
    """

    spec: PackageSpec
    renderer: Renderer
    policies: Sequence[Manifest]
    judge: Judge
    say: Say = lambda _line: None
    _known: dict[str, dict[str, bool]] = field(default_factory=dict[str, dict[str, bool]])
    """Whether each rule refuses an object, by its text."""
    _like: dict[tuple[str, str], RenderedObject] = field(default_factory=dict[tuple[str, str], RenderedObject])
    """An object of each kind and name that every rule was asked about."""
    _tried: dict[str, _Tried] = field(default_factory=dict[str, _Tried])
    """What each change did when it was tried last."""

    def changed(
        self, last: Trial, changes: Sequence[Change], is_worth: Callable[[Trial], bool]
    ) -> list[tuple[Change, Trial]]:
        """The changes that change an object and are worth it, each with its trial.

        Whether one is, is asked first with the rules alone that refuse something now, then with all of them.
        """
        made = self._rendered(last, changes)
        refusing = frozenset(violation.rule for violation in last.violations)
        for rules in (refusing, None):
            self._ask([each for _, objects in made for each in objects if each.template is not None], rules)
            trials = [(change, self._trial(merged(last.values, change.values), objects)) for change, objects in made]
            worth = [(change, trial) for change, trial in trials if is_worth(trial)]
            made = [(change, trial.objects) for change, trial in worth]
        return worth

    def first(self, values: Values) -> Trial:
        """The trial of these values. Raises `RenderError`."""
        objects = rendered_objects(self.renderer.manifests(self._with(values)), self.spec.namespace)
        workloads = [each for each in objects if each.template is not None]
        self._ask(workloads)
        self._like |= {(each.kind, each.name): each for each in workloads}
        return self._trial(values, objects)

    def _with(self, values: Values) -> PackageSpec:
        return self.spec.model_copy(update={"values": dict(values)})

    def _rendered(self, last: Trial, changes: Sequence[Change]) -> list[tuple[Change, Objects]]:
        """The changes that change an object, in their order, with what the chart comes to.

        Each is rendered by itself the first time. After that those of one kind that did nothing are rendered at once,
        and those are left out that no rule would hear of.
        """
        refusing = frozenset(violation.rule for violation in last.violations)
        kinds: dict[str, list[int]] = {}
        groups: list[list[int]] = []
        for number, change in enumerate(changes):
            tried = self._tried.get(repr(change))
            hears = tried is None or tried.others or last.accounts or self._reading(tried.fields) & refusing
            if tried is None or (hears and tried.legal and not tried.does_nothing):
                groups.append([number])
            elif tried.does_nothing:
                kinds.setdefault(change.what, []).append(number)
        groups += [some[at : at + _TOGETHER] for some in kinds.values() for at in range(0, len(some), _TOGETHER)]
        found: dict[int, Objects] = {}
        with Pool(_RENDERINGS) as pool:
            while groups:
                wanted = [all_of(last.values, [changes[number].values for number in group]) for group in groups]
                apart: list[list[int]] = []
                for done, (group, made) in enumerate(zip(groups, pool.map(self._render, wanted), strict=True)):
                    self.say(f"trying {len(changes)} values of the chart: {done} of {len(groups)} renderings")
                    if len(group) > 1:
                        half = len(group) // 2
                        apart += [group[:half], group[half:]] if made.objects != last.objects else []
                        continue
                    self._tried[repr(changes[group[0]])] = made.against(last.objects)
                    if made.objects is not None and made.objects != last.objects:
                        found[group[0]] = made.objects
                groups = apart
        return [(changes[number], found[number]) for number in sorted(found)]

    def _render(self, values: Values) -> _Made:
        try:
            made = self.renderer.manifests(self._with(values), steady=False)
            return _Made(rendered_objects(made, self.spec.namespace))
        except RenderError as error:
            return _Made(None, _SCHEMA in error.message)

    def _trial(self, values: Values, objects: Objects) -> Trial:
        rendered = Rendered(objects)
        violations = frozenset(
            Violation(rule, each.kind, each.name)
            for each in objects
            if each.template is not None
            for rule, fails in self._known[repr(each.manifest)].items()
            if fails
        )
        nobody = (each.name for each in rendered.workloads if each.account not in rendered.accounts)
        never = frozenset((each.kind, each.name) for each in objects if refused(each))
        return Trial(values, objects, violations, frozenset(nobody), never)

    def _ask(self, objects: Iterable[RenderedObject], rules: frozenset[str] | None = None) -> None:
        """Ask these rules, or all, about each object, where it is not known: each stands in a namespace of its own."""
        new = {repr(each.manifest): each for each in objects}
        wanted = {key: self._unknown(key, each, rules) for key, each in new.items()}
        places = {f"trial-{number}": key for number, key in enumerate(key for key in new if wanted[key])}
        planned = tuple(
            PlannedObject(_in_namespace(new[key].manifest, place), key, "", ("", 0)) for place, key in places.items()
        )
        for key, asked in wanted.items():
            self._known[key] |= dict.fromkeys(asked, False)
        if not planned:
            return
        self.say(f"asking the rules about {len(planned)} objects")
        results = self.judge(
            Plan("", planned, tuple(self.policies)),
            lambda policy, each: policy["kind"] == _MUTATING or _name(policy) in wanted[each.urn],
        )
        for result in results:
            if result.result == "fail" and result.policy in wanted[key := places[result.identity[2]]]:
                self._known[key][result.policy] = True

    def _unknown(self, key: str, each: RenderedObject, rules: frozenset[str] | None) -> frozenset[str]:
        """The rules among these, or all, whose answer about an object nobody knows yet."""
        judging = frozenset(_name(policy) for policy in self.policies if policy["kind"] != _MUTATING)
        if key not in self._known:
            like = self._like.get((each.kind, each.name))
            said = {} if like is None else self._known[repr(like.manifest)]
            reading = judging if like is None else self._reading(changed_fields(like.manifest, each.manifest))
            self._known[key] = {rule: fails for rule, fails in said.items() if rule not in reading}
        return (judging if rules is None else judging & rules) - self._known[key].keys()

    def _reading(self, fields: frozenset[str]) -> frozenset[str]:
        """The rules that may judge in another way when these fields change: all, if what others fill in does."""
        reading = [policy for policy in self.policies if fields & names_in(policy)]
        every = any(policy["kind"] == _MUTATING for policy in reading)
        return frozenset(map(_name, self.policies if every else reading))


def _name(policy: Manifest) -> str:
    return text(policy, "metadata", "name")


def all_of(values: Values, changes: Sequence[Manifest]) -> Manifest:
    """Values with some changes, of which the last one decides."""
    result = dict(values)
    for change in changes:
        result = merged(result, change)
    return result


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
    spec: PackageSpec,
    objects: Sequence[RenderedObject],
    taken: Mapping[Identity, str] = MappingProxyType({}),
    own: Mapping[str, str] = MappingProxyType({}),
) -> Unsettled:
    """What has to be left out, granted or opened.

    `taken` has the objects that are somebody else's, and whose; `own` the labels of pods that name the stack's control
    plane of the mesh.
    """
    out = {
        each.identity: Beyond("without", each, "", taken[each.identity]) for each in objects if each.identity in taken
    }
    beyond = [out.get(each.object.identity, each) for each in beyond_the_package(spec, objects, own)]
    beyond += [each for identity, each in out.items() if all(one.object.identity != identity for one in beyond)]
    kept = tuple(each for each in objects if all(one.object != each for one in beyond if one.section == "without"))
    return Unsettled(tuple(beyond), tuple(called_ports(spec, Rendered(kept))))
