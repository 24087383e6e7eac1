"""What a report reads of a live cluster: how far its workloads keep to the rules, and its certificates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from zt.compliance import Cluster, Metadata, measure
from zt.report_model import Certificate, CertificateState, Compliance, Violation

Manifest = Mapping[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _Metadata(_Part):
    namespace: str
    name: str


class _IssuerRef(_Part):
    name: str


class _Spec(_Part):
    issuer_ref: _IssuerRef
    dns_names: tuple[str, ...] = ()


class _Condition(_Part):
    type: str
    status: str = ""
    message: str = ""


class _Status(_Part):
    not_after: datetime | None = None
    renewal_time: datetime | None = None
    conditions: tuple[_Condition, ...] = ()


class _Certificate(_Part):
    """https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate."""

    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()


class ReportCluster(Cluster, Protocol):
    """Where reports, objects and certificates are read."""

    def certificates(self) -> Sequence[Manifest]:
        """Every Certificate of cert-manager; none when the cluster does not serve them."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """A cluster that is asked once for each thing: there are many rules, and all of them read the same reports."""

    cluster: ReportCluster
    _metadata: dict[tuple[str, str], Mapping[str, Metadata]] = field(
        default_factory=dict[tuple[str, str], Mapping[str, Metadata]]
    )

    @property
    def where(self) -> str:
        """The context and server."""
        return self.cluster.where

    @cached_property
    def _reports(self) -> Sequence[Mapping[str, object]]:
        return tuple(self.cluster.reports())

    @cached_property
    def certificates(self) -> Sequence[Manifest]:
        """Every Certificate of cert-manager."""
        return self.cluster.certificates()

    def reports(self) -> Iterable[Mapping[str, object]]:
        """Every report."""
        return self._reports

    def metadata(self, api_version: str, kind: str) -> Mapping[str, Metadata]:
        """The live objects of a kind by uid."""
        key = (api_version, kind)
        if key not in self._metadata:
            self._metadata[key] = self.cluster.metadata(*key)
        return self._metadata[key]


def compliance(rule: str, cluster: Cluster) -> tuple[Compliance | None, str, tuple[Violation, ...]]:
    """The count of a rule, or why there is none, and who violates it."""
    found = measure(rule, cluster)
    if not found.measured:
        excepted = f"each of the {found.excepted} workloads with a result is excepted"
        return None, excepted if found.excepted else "no PolicyReport has a result of it", ()
    counted = Compliance(
        percent=found.percent, compliant=found.compliant, measured=found.measured, excepted=found.excepted
    )
    violations = (Violation(rule=rule, team=v.team, object=v.object, message=v.message) for v in found.violations)
    return counted, "", tuple(violations)


@dataclass(frozen=True)
class PublicHost:
    """A public host that is to have a certificate."""

    host: str
    service: str
    issuer: str


def certificates(hosts: Sequence[PublicHost], cluster: Snapshot | None, now: datetime) -> tuple[Certificate, ...]:
    """The certificates of a cluster, the first to end first; a public host without one is a row, too."""
    found = [_certificate(made, hosts, now) for made in cluster.certificates] if cluster else []
    covered = {host for made in found for host in made.hosts}
    lacking: CertificateState = "missing" if cluster else "not measured"
    absent = [
        Certificate(name="", hosts=(one.host,), issuer=one.issuer, service=one.service, state=lacking)
        for one in hosts
        if one.host not in covered
    ]
    end = datetime.max.replace(tzinfo=UTC)
    return (*absent, *sorted(found, key=lambda made: (made.expires or end, made.name)))


def _certificate(values: Manifest, hosts: Sequence[PublicHost], now: datetime) -> Certificate:
    made = _Certificate.model_validate(values)
    status, names = made.status, made.spec.dns_names
    expires = status.not_after
    ready = next((one for one in status.conditions if one.type == "Ready"), _Condition(type="Ready"))
    return Certificate(
        name=f"{made.metadata.namespace}/{made.metadata.name}",
        hosts=names,
        issuer=made.spec.issuer_ref.name,
        service=next((one.service for one in hosts if one.host in names), ""),
        state=_state(ready.status == "True", expires, status.renewal_time, now),
        expires=expires,
        days_left=(expires - now).days if expires else None,
        reason="" if ready.status == "True" else ready.message or "it has no condition Ready",
    )


def _state(ready: bool, expires: datetime | None, renewal: datetime | None, now: datetime) -> CertificateState:
    if expires is not None and expires <= now:
        return "expired"
    if not ready or expires is None:
        return "not ready"
    # cert-manager renews at that time: an hour later something is in its way.
    return "renewal overdue" if renewal is not None and (now - renewal).total_seconds() > 3600 else "valid"
