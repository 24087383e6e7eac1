"""The Grafana dashboard of the rule library: compliance by tier, rule and team, and what admission refused.

Its queries use metrics of Kyverno's controllers and of the API server, and one of kube-state-metrics for the team of a
namespace. `tests/e2e/test_policy_metrics.py` compares every name in them with running controllers.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from components.kube.manifest import Manifest
from components.kyverno.grafana_panels import compliance_table, panel, placed, query
from components.kyverno.library import TIERS, VALIDATING_TIERS, Library, Rule

NAME = "zero-trust-policies-dashboard"
UID = "zero-trust-policies"

# The schema of Grafana 11; newer versions migrate it on loading.
_SCHEMA_VERSION = 39

_SCANNED = "kyverno_validating_policy_results_total"
_RESULTS = {
    "mutate": "kyverno_mutating_policy_results_total",
    "generate": "kyverno_generating_policy_results_total",
    "images": "kyverno_image_validating_policy_results_total",
}
_REFUSED = "apiserver_validating_admission_policy_check_total"
# Kyverno names the native policy of a rule with this prefix.
_NATIVE_PREFIX = "vpol-"
_NO_SCAN = -1
# Needs kube-state-metrics with --metric-labels-allowlist=namespaces=[team].
_TEAM_OF_NAMESPACE = (
    "max by (resource_namespace, label_team) "
    '(label_replace(kube_namespace_labels{label_team!=""}, "resource_namespace", "$1", "namespace", "(.+)"))'
)

_SCAN_NOTE = (
    "Counts what Kyverno's background scan found in the chosen window: every object once an hour, and again whenever "
    "it or a rule changes. A result that appears for the first time shows after its second scan."
)
_DENY_NOTE = (
    "A rule that denies has no figure here: the API server enforces it and Kyverno no longer scans it. "
    "Look at the refusals instead, and at the policy reports for what was there before."
)


def dashboard(library: Library) -> Manifest:
    """The dashboard of this library's rules, as Grafana's JSON model."""
    rows = (
        (5, (_compliance_now(library), _refusals_now())),
        (8, (_compliance_over_time(library),)),
        (10, (_rules_worst_first(), _rules_over_time())),
        (9, (_teams(), _namespaces())),
        (9, (_refusals(), _latency())),
        (8, (_activity(library), _policy_changes(), _not_evaluated())),
    )
    return {
        "uid": UID,
        "title": "Zero trust: policies",
        "description": "How far the cluster follows the rule library, by tier, rule and team, and what was refused.",
        "tags": ["zero-trust", "kyverno"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), _window()]},
        "panels": placed(rows),
    }


def dashboard_config_map(namespace: str, library: Library) -> Manifest:
    """The ConfigMap that Grafana's sidecar loads (https://github.com/grafana/helm-charts, `sidecar.dashboards`)."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "Zero trust"},
        },
        "data": {f"{UID}.json": json.dumps(dashboard(library), sort_keys=True)},
    }


def _compliance_now(library: Library) -> Manifest:
    return panel(
        "stat",
        "Compliance now, by tier",
        f"The share of results that pass, for each tier of rules. {_SCAN_NOTE} {_DENY_NOTE}",
        [
            # Grafana hides a query without a result, and a missing tier would look like a compliant one.
            query(f"{_compliance(matchers=_named(rules))} or vector({_NO_SCAN})", tier, instant=True)
            for tier, rules in _tiers(library, VALIDATING_TIERS)
        ],
        unit="percentunit",
        mappings=[
            {"type": "value", "options": {str(_NO_SCAN): {"text": "denied at admission, or off", "color": "text"}}}
        ],
        options={"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "textMode": "value_and_name"},
    )


def _refusals_now() -> Manifest:
    return panel(
        "stat",
        "Refused in the window",
        "Requests that a rule refused in the chosen window: one for each rule and request, dry runs included.",
        [query(f"sum(increase({_refused()}[$window])) or vector(0)", "refused", instant=True)],
        unit="none",
        options={"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "none"},
    )


def _compliance_over_time(library: Library) -> Manifest:
    return panel(
        "timeseries",
        "Compliance over time, by tier",
        f"The share of results that pass, for each tier of rules. {_DENY_NOTE} "
        "A line that ends is a tier that moved on to denying, or was switched off.",
        [query(_compliance(matchers=_named(rules)), tier) for tier, rules in _tiers(library, VALIDATING_TIERS)],
        unit="percentunit",
    )


def _rules_worst_first() -> Manifest:
    return panel(
        "table",
        "Rules, the worst first",
        f"Each rule's share of results that pass, and how many fail. {_SCAN_NOTE} {_DENY_NOTE}",
        [
            query(_compliance("policy_name"), instant=True),
            query(f"{_increase('policy_name', _FAILING)} > 0", instant=True),
        ],
        unit="percentunit",
        **compliance_table("policy_name", "Rule"),
    )


def _rules_over_time() -> Manifest:
    return panel(
        "timeseries",
        "Compliance over time, the ten worst rules",
        f"The rules with the lowest share of results that pass at each moment. {_DENY_NOTE}",
        [query(f"bottomk(10, {_compliance('policy_name')})", "{{policy_name}}")],
        unit="percentunit",
    )


def _teams() -> Manifest:
    return panel(
        "timeseries",
        "Compliance over time, by team",
        "The share of results that pass in the namespaces of each team. A namespace belongs to the team in its label "
        "`team`, which kube-state-metrics has to show (`--metric-labels-allowlist=namespaces=[team]`); a namespace "
        f"without that label is in the table beside this panel alone. {_DENY_NOTE}",
        [query(_compliance("label_team", _by_team), "{{label_team}}")],
        unit="percentunit",
    )


def _namespaces() -> Manifest:
    return panel(
        "table",
        "Namespaces, the worst first",
        f"Each namespace's share of results that pass, and how many fail. {_SCAN_NOTE} {_DENY_NOTE}",
        [
            query(_compliance("resource_namespace"), instant=True),
            query(f"{_increase('resource_namespace', _FAILING)} > 0", instant=True),
        ],
        unit="percentunit",
        **compliance_table("resource_namespace", "Namespace"),
    )


def _refusals() -> Manifest:
    return panel(
        "timeseries",
        "Refused at admission",
        "Requests that were turned away. A rule that denies is enforced by the API server, whose counter names the "
        "rule and not the namespace; Kyverno's own counter adds what it refuses itself, such as a faulty policy.",
        [
            query(
                f'sum by (rule) (label_replace(increase({_refused()}[$__rate_interval]), "rule", "$1", "policy", '
                f'"{_NATIVE_PREFIX}(.+)"))',
                "{{rule}}",
            ),
            query(
                "sum by (resource_namespace, resource_kind) "
                '(increase(kyverno_admission_requests_total{request_allowed="false"}[$__rate_interval]))',
                "by Kyverno: {{resource_kind}} {{resource_namespace}}",
            ),
        ],
        unit="none",
        draw="bars",
    )


def _latency() -> Manifest:
    return panel(
        "timeseries",
        "Time that Kyverno adds to a request",
        "How long Kyverno took to answer the API server: half of the requests were faster than p50, one in a hundred "
        "was slower than p99. A rule that denies costs nothing here: the API server evaluates it itself.",
        [
            query(
                f"histogram_quantile({quantile}, "
                "sum by (le) (rate(kyverno_admission_review_duration_seconds_bucket[$__rate_interval])))",
                legend,
            )
            for quantile, legend in ((0.5, "p50"), (0.99, "p99"))
        ],
        unit="s",
    )


def _activity(library: Library) -> Manifest:
    others = [tier for tier in TIERS if tier not in VALIDATING_TIERS]
    return panel(
        "timeseries",
        "What the rules changed, made and verified",
        "How often a rule that fills in a field, makes an object or verifies an image ran, and how it ended.",
        [
            query(
                f"sum by (policy_name, result) (increase({_RESULTS[tier]}{{{_named(rules)}}}[$__rate_interval]))",
                f"{tier}: {{{{policy_name}}}} {{{{result}}}}",
            )
            for tier, rules in _tiers(library, others)
        ],
        unit="none",
        draw="bars",
    )


def _policy_changes() -> Manifest:
    return panel(
        "timeseries",
        "Changes of policies and exceptions",
        "Writes to the rules and their exceptions that the API server accepted. Kyverno counts changes of its older "
        "policy kinds alone, so this is the API server's own counter; the audit log says who it was.",
        [
            query(
                'sum by (resource, verb) (increase(apiserver_request_total{group="policies.kyverno.io",subresource="",'
                'dry_run="",verb=~"POST|PUT|PATCH|APPLY|DELETE|DELETECOLLECTION",code=~"2.."}[$__rate_interval]))',
                "{{verb}} {{resource}}",
            )
        ],
        unit="none",
        draw="bars",
    )


def _not_evaluated() -> Manifest:
    return panel(
        "timeseries",
        "Rules that could not be evaluated",
        "A rule that cannot be evaluated judges nothing.",
        [
            query(
                f'sum by (policy_name) (increase({_SCANNED}{{result="error"}}[$__rate_interval]))',
                "{{policy_name}}",
            )
        ],
        unit="none",
        draw="bars",
    )


# A rule that could not be evaluated counts as failing.
_FAILING = 'result=~"fail|error"'
_JUDGED = 'result=~"pass|fail|error"'


def _increase(by: str, matchers: str) -> str:
    grouping = f" by ({by})" if by else ""
    return f'sum{grouping} (increase({_SCANNED}{{execution_cause="background_scan",{matchers}}}[$window]))'


def _by_team(by: str, matchers: str) -> str:
    by_namespace = _increase("resource_namespace", matchers)
    return f"sum by ({by}) ({by_namespace} * on (resource_namespace) group_left ({by}) {_TEAM_OF_NAMESPACE})"


def _compliance(by: str = "", increase: Any = _increase, matchers: str = "") -> str:
    """The query for the share of results that pass, in [0, 1]; it has no result when nothing was scanned.

    It subtracts the failures, since a counter that was never incremented does not exist, such as that of passes when
    everything fails.
    """
    more = f",{matchers}" if matchers else ""
    failing, judged = increase(by, _FAILING + more), increase(by, _JUDGED + more)
    return f"1 - ({failing} or 0 * {judged}) / ({judged} > 0)"


def _refused() -> str:
    return f'{_REFUSED}{{enforcement_action="deny",policy=~"{_NATIVE_PREFIX}.+"}}'


def _named(rules: Iterable[Rule]) -> str:
    return f'policy_name=~"{"|".join(rule.name for rule in rules)}"'


def _tiers(library: Library, tiers: Sequence[str]) -> list[tuple[str, tuple[Rule, ...]]]:
    return [(tier, rules) for tier in tiers if (rules := library.tier(tier))]


def _datasource() -> Manifest:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _window() -> Manifest:
    # Kyverno scans every object once an hour: a shorter window could miss some.
    choices = ("2h", "6h", "24h", "7d")
    return {
        "name": "window",
        "label": "Scans of the last",
        "type": "custom",
        "query": ",".join(choices),
        "current": {"text": choices[0], "value": choices[0]},
        "options": [{"text": choice, "value": choice, "selected": choice == choices[0]} for choice in choices],
    }
