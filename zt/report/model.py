"""The data of a report: the page shows it, and `--format json` writes it.

`version` changes when a key changes its meaning or is removed; keys may be added. A service is `namespace/name`.
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
    """Whether a part was measured on the running stack. A part that was not measured is neither good nor bad."""

    measured: bool
    source: str = ""
    """The source: a cluster's context and address, or a file."""
    reason: str = ""
    """Why nothing was measured."""


class Layer(Part):
    """A layer of the posture table."""

    name: str
    state: str
    """What the layer does, in words."""
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
    """A connection to a service that its network policy and its authorization together allow."""

    source: str
    """A service, pods of a namespace, or `*` if anything may connect."""
    target: str
    port: int
    protocol: str
    requests: tuple[str, ...]
    """The requests that it may send, such as `GET /orders/*`; empty: any."""
    declared: bool
    """Whether a service file declares it; false if anything may connect."""


Half = Literal["there", "missing", "not measured"]


class StackCall(Part):
    """A call between services of two stacks, each of which makes the half of its own end. Both are needed."""

    caller: str
    callee: str
    port: int
    caller_half: Half
    """The caller's `calls`, as a way out of its network policy; not measured without a cluster, if it is elsewhere."""
    callee_half: Half
    """The callee's `callers`, as a way in."""


class Outside(Part):
    """A place outside the services that one of them may reach."""

    source: str
    """A service, or `*` for all of them."""
    target: str
    port: int
    protocol: str
    layer: Literal["network policy", "mesh"]
    """The layer that allows it. A place outside the cluster needs both, or in ambient mode only the network policy."""


class PublicPath(Part):
    """A path prefix that anybody may request."""

    service: str
    url: str
    port: int


class PublicLimits(Part):
    """The gateway's limits on requests to a public service, and the headers that it adds to answers."""

    service: str
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    """The prefixes that anybody may request."""
    min_tls: str
    """The lowest version of TLS; empty for an Ingress, whose controller sets it."""
    requests: int
    """How many requests a host answers in `seconds`, counted by each replica of the gateway; 0: no limit."""
    seconds: int
    over_rate: Literal["refused", "counted", "answered"]
    """What happens to a request over the limit; one that is `counted` is answered too."""
    max_request_bytes: int
    """The largest body of a request; 0: no limit."""
    firewall: Literal["blocks", "detects", "none"]
    headers: tuple[str, ...]
    """The headers of each answer, such as `X-Frame-Options: DENY`."""
    annotations: tuple[str, ...]
    """The annotations by which an Ingress controller gets these and other limits."""


class VaultPath(Part):
    """A path of Vault that a service's role may use."""

    service: str
    role: str
    path: str
    capabilities: tuple[str, ...]
    file: str
    """Where the pod finds it."""


class OpenPort(Part):
    """A port that other services may call; the first one has the name of its protocol."""

    name: str
    number: int
    protocol: str


class Service(Part):
    """A service and what it may do."""

    name: str
    team: str
    image: str
    port: int
    """The first port; 0 for one that listens on none."""
    protocol: str
    ports: tuple[OpenPort, ...]
    """All ports."""
    url: str
    """The public address; empty if nothing outside the cluster reaches it."""
    calls: tuple[str, ...]
    """The services that its file declares calls to."""
    called_by: tuple[str, ...]
    """Who may open a connection to it; `*` for anything."""
    secrets: str
    """Where its secrets are: Vault, a Kubernetes Secret, or nowhere if it has none."""
    database: tuple[str, ...]
    """The rights of its database users."""
    kubernetes_api: tuple[str, ...]
    """Its rights on the Kubernetes API, in its namespace unless they say otherwise."""
    writable: tuple[str, ...]
    """Directories that it may write to, besides /tmp."""
    token: str
    """The issuer of the token that a request from outside needs; empty if it needs none."""
    clear_text: tuple[str, ...]
    """Ports that accept connections without a certificate, each with the day on which this ends."""


class Certificate(Part):
    """A certificate of cert-manager, or a public host that needs one."""

    name: str
    """`namespace/name` of the Certificate; empty if the cluster has none for the host, or was not read."""
    hosts: tuple[str, ...]
    issuer: str
    service: str
    """The service behind a public host; empty for another certificate of the cluster."""
    state: CertificateState
    expires: datetime | None = None
    days_left: int | None = None
    reason: str = ""
    """Why it is not ready, by cert-manager."""


class Violation(Part):
    """A workload that does not comply with a rule."""

    rule: str
    team: str
    object: str
    message: str


class Compliance(Part):
    """How many workloads of the cluster comply with a rule, by its PolicyReports."""

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
    """`deny`, `warn`, `audit` or `off`; `on` or `off` for a rule that validates nothing."""
    phase: str
    """The phase of an important rule: audit, warn or enforce."""
    promotable: bool
    """Whether enough workloads comply for `zt promote` to move it to its next phase."""
    compliance: Compliance | None
    not_measured: str
    """Why there is no compliance; empty for a rule that validates no workload."""


class Exemption(Part):
    """An exception that a service file or the stack file declares."""

    service: str
    """A service, or in the stack file a service account or all of a namespace (`namespace/*`)."""
    rule: str
    tier: str
    reason: str
    owner: str
    granted: date
    expires: date
    """The first day without the exception."""
    days_left: int
    expired: bool
    action: str
    """What the rule does on the stack."""


class Packet(Part):
    """A packet that `zt attack` sent."""

    sender: str
    target: str
    by: str
    """How it named the target: pod address, Service or name."""
    declared: bool
    """A service file declares the connection: it shows that the target answers, and is no attack."""
    judged: Literal["open", "blocked", ""]
    """What the live rules say of it. Empty where they say nothing."""
    rule: str
    sent: Literal["open", "refused", "silent", "not sent"]
    answer: str
    differs: bool
    """It went otherwise than the live rules say."""


class Attempt(Part):
    """One attempt of an attacker."""

    name: str
    tried: str
    result: Literal["blocked", "succeeded", "not measured"]
    answer: str
    control: str
    """The control that should stop it."""
    packets: tuple[Packet, ...]
    """What was sent for it."""


class Attack(Part):
    """One of the attacks: up to 6 one of the model's, by a compromised pod."""

    number: int
    title: str
    attacker: Literal["pod", "namespace-admin", "namespace-edit"]
    """The last two have that built-in role in one namespace."""
    result: Literal["blocked", "succeeded", "not measured"]
    attempts: tuple[Attempt, ...]


class Summary(Part):
    """The report in numbers."""

    layers: int
    layers_enforced: int
    services: int
    public_services: int
    open_pairs: int
    """Ordered pairs of services where the first may connect to the second."""
    possible_pairs: int
    rules: int
    """Rules that are on and validate workloads."""
    rules_denying: int
    violations: int | None
    """Null if nothing was measured, like the other numbers below that can be null."""
    exceptions: int
    exceptions_expired: int
    certificates: int
    """Certificates of the cluster, and public hosts without one."""
    certificates_valid: int | None
    attacks_blocked: int | None
    """Attempts that were stopped."""
    attacks_succeeded: int | None
    """Attempts that succeeded. The rest could not be replayed."""


class Report(Part):
    """Everything known about a stack."""

    version: Literal[1] = VERSION
    stack: str
    environment: str
    generated: datetime
    """When the report was made, in UTC."""
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
    stack_calls: tuple[StackCall, ...]
    outside: tuple[Outside, ...]
    public: tuple[PublicPath, ...]
    public_limits: tuple[PublicLimits, ...]
    vault: tuple[VaultPath, ...]
    certificates: tuple[Certificate, ...]
    rules: tuple[Rule, ...]
    violations: tuple[Violation, ...]
    exceptions: tuple[Exemption, ...]
    attacks: tuple[Attack, ...]
