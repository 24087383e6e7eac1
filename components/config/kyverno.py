"""The section `kyverno` of the stack config."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from components.config.accounts import own_account
from components.config.existing import refuse_beside_existing, refuse_elsewhere
from components.kube.names import DEFAULT_NAMESPACE, KYVERNO_NAMESPACE
from components.schema.fields import Day, HttpsAddress, Issuer, Label, Registry, Replicas
from components.schema.timed_exception import Reason, TimedException
from components.schema.typed_file import TypedFile, misplaced

EXCLUSION_DAYS = 366


def _excluded(value: str) -> str:
    if value == DEFAULT_NAMESPACE:
        raise ValueError("what names no namespace lands there: give the workload a namespace of its own")
    return value


ExcludedName = Annotated[Label, AfterValidator(_excluded)]
WorkloadAccount = Annotated[Label, own_account("the workload")]


class ImageAttestor(TypedFile):
    """Who may sign an image: the holder of a key, or an identity of an OpenID issuer."""

    name: Label
    public_key: StrictStr | None = None
    """PEM, as `cosign public-key` prints it."""
    issuer: Issuer | None = None
    subject: StrictStr | None = None
    """The full identity, such as one workflow of one repository at one branch."""
    rekor_url: HttpsAddress | None = None
    """The transparency log of a keyless signature; by default the public one."""

    @model_validator(mode="after")
    def _key_or_identity(self) -> Self:
        keyless = (self.issuer, self.subject)
        if (self.public_key is None) == (keyless == (None, None)) or (None in keyless and keyless != (None, None)):
            raise ValueError("write publicKey, or issuer and subject")
        if self.public_key is not None and self.rekor_url is not None:
            message = "it belongs to issuer and subject: a key is checked without a log"
            raise misplaced(["rekorUrl"], message, self.rekor_url)
        return self


class _AgreedForAYear(TimedException):
    """What holds for a part of the cluster, and is agreed on anew each year."""

    expires: Day
    """The first day on which it is no longer agreed; at most 366 days after `granted`."""

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        if self.days > EXCLUSION_DAYS:
            return "expires", f"{self.days} days, {EXCLUSION_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


class ExcludedNamespace(_AgreedForAYear):
    """A namespace of the cluster's own that no rule looks at, such as that of its network plugin."""

    reason: Reason
    """Why the rules cannot hold there, for the person who reviews it."""


class WidenedRule(_AgreedForAYear):
    """A critical rule that lets more through in every namespace than its own file does."""

    reason: Reason
    """Why an exception of the workloads that need it is not enough, for the person who reviews it."""


class AccountException(TimedException):
    """A rule that does not apply to a workload that no service file makes, for a limited time."""

    rule: StrictStr
    """The name of the rule, which is that of its folder under `policies/`."""
    namespace: Label
    """The namespace of the workload."""
    service_account: WorkloadAccount
    """The service account of its pods. Names and labels say nothing of who made a pod."""
    expires: Day
    """The first day without the exception; at most 90 days after `granted` for a critical rule."""

    @property
    def workload(self) -> str:
        """The workload as messages name it: `namespace/service-account`."""
        return f"{self.namespace}/{self.service_account}"

    @property
    def subject(self) -> tuple[str, str, str]:
        """The rule, the namespace and the service account."""
        return self.rule, self.namespace, self.service_account


class KyvernoSettings(TypedFile):
    """Kyverno's controllers, the parameters of the rules, and where they do not hold."""

    mode: Literal["helm", "existing"] = "helm"
    """`helm` installs Kyverno in the namespace `kyverno`; `existing` takes one that others installed, whose settings
    `pulumi up` and `zt preflight` check."""
    namespace: Label | None = None
    """With `mode: existing`: the namespace of that Kyverno, where exceptions count; by default `kyverno`."""
    replicas: Replicas = 1
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors Kyverno's images, each under its last name: `<hub>/kyvernopre`."""
    parameters: dict[StrictStr, dict[StrictStr, object]] = Field(default_factory=dict)
    """Values of a rule's variables, by rule and variable. What `registries` and `platformImages` say stands there
    alone."""
    widened: dict[StrictStr, WidenedRule] = Field(default_factory=dict)
    """The critical rules that let more through by `parameters` than by themselves, by name, each with a reason and a
    last day."""
    promotion_threshold: Annotated[StrictInt, Field(ge=1, le=100)] = 90
    """Percent of workloads that must comply with an important rule before it moves to its next phase."""
    image_signatures: tuple[ImageAttestor, ...] = ()
    """Who may sign images. Without one, the rule that requires a signature is off."""
    excluded_namespaces: dict[ExcludedName, ExcludedNamespace] = Field(default_factory=dict)
    """Namespaces of the cluster's own that no rule looks at, by name, each with a reason and a last day. Whoever may
    create pods in one may run anything: no tenant may have rights there."""
    exceptions: tuple[AccountException, ...] = ()
    """Rules that do not apply to a workload that no service file makes, each with a reason and a last day."""

    @model_validator(mode="after")
    def _exceptions_of_others(self) -> Self:
        refuse_beside_existing(self, self.mode, "replicas", "hub")
        refuse_elsewhere(self.mode, self.namespace, KYVERNO_NAMESPACE)
        for number, exception in enumerate(self.exceptions):
            if exception.namespace in self.excluded_namespaces:
                message = "excludedNamespaces has it, so no rule looks at it: leave one of the two out"
                raise misplaced(["exceptions", number, "namespace"], message, exception.namespace)
            if exception.subject in (other.subject for other in self.exceptions[:number]):
                message = "two exceptions of one workload from one rule: keep one"
                raise misplaced(["exceptions", number, "rule"], message, exception.rule)
        return self
