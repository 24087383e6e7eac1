"""Reads what a report needs from a live cluster: the compliance of its workloads, and its certificates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from zt.cluster.compliance import Cluster, Metadata, measure, parsed
from zt.report.model import Certificate, CertificateState, Compliance, Violation

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
    """A cluster whose reports, objects and certificates can be read."""

    def certificates(self) -> Sequence[Manifest]:
        """Every Certificate of cert-manager, or none if the cluster does not serve them."""
        ...

    def network_policies(self) -> Sequence[Manifest]:
        """Every NetworkPolicy."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """A cluster that is read once, since all rules are measured from the same reports."""

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

    @cached_property
    def network_policies(self) -> Sequence[Manifest]:
        """Every NetworkPolicy."""
        return self.cluster.network_policies()

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
    """The compliance with a rule, or why there is none, and its violations."""
    counts = measure(rule, cluster)
    if not counts.measured:
        excepted = f"each of the {counts.excepted} workloads with a result is excepted"
        return None, excepted if counts.excepted else "no PolicyReport has a result of it", ()
    compliance = Compliance(
        percent=counts.percent, compliant=counts.compliant, measured=counts.measured, excepted=counts.excepted
    )
    violations = (Violation(rule=rule, team=v.team, object=v.object, message=v.message) for v in counts.violations)
    return compliance, "", tuple(violations)


@dataclass(frozen=True)
class PublicHost:
    """A public host that needs a certificate."""

    host: str
    service: str
    issuer: str


def certificates(hosts: Sequence[PublicHost], cluster: Snapshot | None, now: datetime) -> tuple[Certificate, ...]:
    """The certificates of a cluster, the first to expire first, after a row for each public host without one."""
    issued = (
        [_certificate(certificate, hosts, now, cluster.where) for certificate in cluster.certificates]
        if cluster
        else []
    )
    covered = {host for certificate in issued for host in certificate.hosts}
    lacking: CertificateState = "missing" if cluster else "not measured"
    absent = [
        Certificate(name="", hosts=(host.host,), issuer=host.issuer, service=host.service, state=lacking)
        for host in hosts
        if host.host not in covered
    ]
    end = datetime.max.replace(tzinfo=UTC)
    return (*absent, *sorted(issued, key=lambda certificate: (certificate.expires or end, certificate.name)))


def _certificate(values: Manifest, hosts: Sequence[PublicHost], now: datetime, where: str) -> Certificate:
    certificate = parsed(_Certificate, values, where)
    status, names = certificate.status, certificate.spec.dns_names
    expires = status.not_after
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), _Condition(type="Ready"))
    return Certificate(
        name=f"{certificate.metadata.namespace}/{certificate.metadata.name}",
        hosts=names,
        issuer=certificate.spec.issuer_ref.name,
        service=next((host.service for host in hosts if host.host in names), ""),
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
    # cert-manager renews at that time; if it has not an hour later, something prevents it.
    return "renewal overdue" if renewal is not None and (now - renewal).total_seconds() > 3600 else "valid"
