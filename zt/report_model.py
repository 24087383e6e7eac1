"""What a report says, as data: the page is made of it, and `--format json` writes it as it is.

`version` changes when a key changes its meaning or goes; keys may be added. A service is `namespace/name`.
"""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION = 1

Level = Literal["enforced", "partly", "on", "off"]
CertificateState = Literal["valid", "renewal overdue", "expired", "not ready", "missing", "not measured"]


class Part(BaseModel):
    """Base of every part: frozen, camelCase keys, each described by the text below it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, use_attribute_docstrings=True
    )


class Measurement(Part):
    """Whether a part was looked at where the stack runs. What was not measured is neither good nor bad."""

    measured: bool
    source: str = ""
    """What was asked: a cluster's context and address, or a file."""
    reason: str = ""
    """Why nothing was measured."""


class Layer(Part):
    """A layer of the posture table."""

    name: str
    state: str
    """What it does, in words."""
    level: Level
    """`enforced`: it blocks; `partly`: some of its rules do; `on`: it works and blocks nothing; `off`."""


class Override(Part):
    """A cell of the posture table that the stack file changes."""

    layer: str
    """As the stack file writes it."""
    value: str
    default: str
    """The environment's value."""
    weaker: bool
    reason: str


class Connection(Part):
    """Someone who may open a connection to a service, by its network policy and its authorization together."""

    source: str
    """A service, pods of a namespace, or `*` where nothing holds anybody back."""
    target: str
    port: int
    protocol: str
    requests: tuple[str, ...]
    """The requests that it may send, such as `GET /orders/*`; empty: any."""
    declared: bool
    """Whether a service file asks for it; nothing does where anything may connect."""


class Outside(Part):
    """A place beside the services that one of them may reach."""

    source: str
    """A service, or `*` for each of them alike."""
    target: str
    port: int
    protocol: str
    layer: Literal["network policy", "mesh"]
    """What lets it through. A place outside the cluster needs both; in the ambient mode the network policy alone."""


class PublicPath(Part):
    """A path prefix that anybody may ask for."""

    service: str
    url: str
    port: int


class Door(Part):
    """What the door asks of the requests to a public service, and adds to its answers."""

    service: str
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    """The prefixes that anybody may ask for."""
    min_tls: str
    """The lowest version of TLS; empty for an Ingress, whose controller has its own."""
    requests: int
    """How many a host answers in `seconds`, each replica of the door counting for itself; 0: no limit."""
    seconds: int
    over_rate: Literal["refused", "counted", "answered"]
    """What becomes of one more: `counted` is answered as well."""
    max_request_bytes: int
    """The largest body of a request; 0: no limit."""
    firewall: Literal["blocks", "detects", "none"]
    headers: tuple[str, ...]
    """What each answer carries, such as `X-Frame-Options: DENY`."""
    annotations: tuple[str, ...]
    """The same and more in the words of a class of Ingress, whose controller keeps to them."""


class VaultPath(Part):
    """A path of Vault that a service's role may use."""

    service: str
    role: str
    path: str
    capabilities: tuple[str, ...]
    file: str
    """Where the pod finds it."""


class Service(Part):
    """One application and what it may do."""

    name: str
    team: str
    image: str
    port: int
    protocol: str
    url: str
    """The public address; empty: nothing outside the cluster reaches it."""
    calls: tuple[str, ...]
    """The services that its file names."""
    called_by: tuple[str, ...]
    """Who may open a connection to it; `*` for anything."""
    secrets: str
    """Where its secrets are: Vault, a Kubernetes Secret, or nowhere when it has none."""
    database: tuple[str, ...]
    """The rights of its database users."""
    kubernetes_api: tuple[str, ...]
    """Its rights on the Kubernetes API, in its namespace."""
    writable: tuple[str, ...]
    """Directories that it may write to, beside /tmp."""
    token: str
    """Whose token a request from outside must carry; empty: none."""
    clear_text: tuple[str, ...]
    """Ports that take connections without a certificate, each with the day that it ends."""


class Certificate(Part):
    """A certificate of cert-manager, or a public host that is to have one."""

    name: str
    """`namespace/name` of the Certificate; empty when the cluster has none for the host, or was not asked."""
    hosts: tuple[str, ...]
    issuer: str
    service: str
    """The service behind a public host; empty for another certificate of the cluster."""
    state: CertificateState
    expires: datetime | None = None
    days_left: int | None = None
    reason: str = ""
    """What cert-manager says of one that is not ready."""


class Violation(Part):
    """A workload that does not keep to a rule."""

    rule: str
    team: str
    object: str
    message: str


class Compliance(Part):
    """How many workloads of the cluster keep to a rule, by its PolicyReports."""

    percent: float
    compliant: int
    measured: int
    excepted: int


class Rule(Part):
    """A rule of the library and what it does on the stack."""

    name: str
    tier: str
    title: str
    severity: str
    action: str
    """`deny`, `warn`, `audit` or `off`; `on` or `off` for a rule that judges nothing."""
    phase: str
    """Of an important rule: audit, warn or enforce."""
    promotable: bool
    """Whether enough workloads comply for `zt promote` to move it to its next phase."""
    compliance: Compliance | None
    not_measured: str
    """Why there is no compliance; empty for a rule that judges no workload."""


class Exemption(Part):
    """An exception that a service file declares."""

    service: str
    rule: str
    tier: str
    reason: str
    owner: str
    granted: date
    expires: date
    """The first day without it."""
    days_left: int
    expired: bool
    action: str
    """What the rule does on the stack."""


class Attempt(Part):
    """One thing that was tried, as a compromised pod."""

    name: str
    tried: str
    result: Literal["blocked", "succeeded", "not measured"]
    answer: str
    control: str
    """What is to stop it."""


class Attack(Part):
    """One of the model's attacks."""

    number: int
    title: str
    result: Literal["blocked", "succeeded", "not measured"]
    attempts: tuple[Attempt, ...]


class Summary(Part):
    """The report in numbers."""

    layers: int
    layers_enforced: int
    services: int
    public_services: int
    open_pairs: int
    """Ordered pairs of services of which one may open a connection to the other."""
    possible_pairs: int
    rules: int
    """Rules that are on and judge workloads."""
    rules_denying: int
    violations: int | None
    """Null, like the other numbers below that may be, when nothing was measured."""
    exceptions: int
    exceptions_expired: int
    certificates: int
    """Certificates of the cluster, and public hosts that lack one."""
    certificates_valid: int | None
    attacks_blocked: int | None
    """Attempts that were stopped."""
    attacks_succeeded: int | None
    """Attempts that got through. The rest could not be replayed."""


class Report(Part):
    """Everything that is known of a stack."""

    version: Literal[1] = VERSION
    stack: str
    environment: str
    generated: datetime
    """When, in UTC."""
    as_of: date
    """The day that exceptions are judged by."""
    threshold: int
    """Percent of workloads that must comply before an important rule moves to its next phase."""
    summary: Summary
    cluster: Measurement
    """Where compliance and certificates come from."""
    attack: Measurement
    """Where the attacks come from."""
    posture: tuple[Layer, ...]
    overrides: tuple[Override, ...]
    services: tuple[Service, ...]
    connections: tuple[Connection, ...]
    outside: tuple[Outside, ...]
    public: tuple[PublicPath, ...]
    doors: tuple[Door, ...]
    vault: tuple[VaultPath, ...]
    certificates: tuple[Certificate, ...]
    rules: tuple[Rule, ...]
    violations: tuple[Violation, ...]
    exceptions: tuple[Exemption, ...]
    attacks: tuple[Attack, ...]
