"""Pod specs as nobody would write them: every security field set, unset or wrong, in every sort of container."""

from typing import Any

from hypothesis import strategies as st

from tests.policy import cases

Manifest = dict[str, Any]

_MAYBE = st.sampled_from([None, True, False])
_USER = st.sampled_from([None, 0, 1, 1000])
_SECCOMP = st.sampled_from(
    [None, {"type": "RuntimeDefault"}, {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a.json"}]
)
_SELINUX = st.sampled_from(
    [None, None, {}, {"type": "container_t"}, {"type": "spc_t"}, {"user": "root"}, {"role": "r"}]
)
_APPARMOR = st.sampled_from([None, None, {"type": "RuntimeDefault"}, {"type": "Unconfined"}])
_CAPABILITIES = st.sampled_from(
    [
        None,
        {},
        {"drop": ["ALL"]},
        {"drop": ["NET_RAW"]},
        {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
        {"add": ["NET_BIND_SERVICE"]},
    ]
)
_PORTS = st.sampled_from([None, None, [{"containerPort": 80}], [{"containerPort": 80, "hostPort": 80}]])
_PROBES = st.sampled_from(
    [
        None,
        None,
        {"tcpSocket": {"port": 80}},
        {"tcpSocket": {"port": 80, "host": "10.0.0.1"}},
        {"httpGet": {"port": 80, "host": "a.b"}},
    ]
)
_VOLUMES = st.sampled_from(
    [
        None,
        None,
        {"emptyDir": {}},
        {"hostPath": {"path": "/"}},
        {"nfs": {"server": "a", "path": "/"}},
        {"configMap": {"name": "c"}},
    ]
)
_SYSCTLS = st.sampled_from(
    [None, None, [{"name": "net.ipv4.tcp_syncookies", "value": "1"}], [{"name": "kernel.msgmax", "value": "1"}]]
)


def _without_nothing(fields: Manifest) -> Manifest:
    return {key: value for key, value in fields.items() if value is not None}


def _secure_more_often(strategy: st.SearchStrategy[Any], secure: Any) -> st.SearchStrategy[Any]:
    """A pod with one thing wrong finds more than a pod with ten."""
    return st.one_of(st.just(secure), st.just(secure), strategy)


_CONTAINER_CONTEXT = st.fixed_dictionaries(
    {
        "privileged": st.sampled_from([None, None, None, False, True]),
        "allowPrivilegeEscalation": _secure_more_often(_MAYBE, secure=False),
        "readOnlyRootFilesystem": st.just(value=True),
        "runAsNonRoot": _MAYBE,
        "runAsUser": _secure_more_often(_USER, None),
        "capabilities": _secure_more_often(_CAPABILITIES, {"drop": ["ALL"]}),
        "seccompProfile": _SECCOMP,
        "seLinuxOptions": _SELINUX,
        "appArmorProfile": _APPARMOR,
        "procMount": st.sampled_from([None, None, None, "Default", "Unmasked"]),
    }
).map(_without_nothing)

_POD_CONTEXT = st.fixed_dictionaries(
    {
        "runAsNonRoot": _secure_more_often(_MAYBE, secure=True),
        "runAsUser": _secure_more_often(_USER, 1000),
        "seccompProfile": _secure_more_often(_SECCOMP, {"type": "RuntimeDefault"}),
        "seLinuxOptions": _SELINUX,
        "appArmorProfile": _APPARMOR,
        "sysctls": _SYSCTLS,
    }
).map(_without_nothing)


@st.composite
def _container(draw: st.DrawFn, name: str, *, probed: bool) -> Manifest:
    context = draw(st.one_of(st.none(), _CONTAINER_CONTEXT, _CONTAINER_CONTEXT, _CONTAINER_CONTEXT))
    made = {**cases.BASELINE["container"], "name": name, "ports": draw(_PORTS), "securityContext": context}
    if probed:
        made["livenessProbe"] = draw(_PROBES)
    else:
        made |= {"livenessProbe": None, "readinessProbe": None}
    return _without_nothing(made)


@st.composite
def pod_specs(draw: st.DrawFn) -> Manifest:
    """A pod spec that the API server finds valid, or nearly: what it refuses by itself proves nothing."""
    volume = draw(_VOLUMES)
    return _without_nothing(
        {
            **cases.BASELINE["podSpec"],
            "securityContext": draw(st.one_of(st.none(), _POD_CONTEXT, _POD_CONTEXT, _POD_CONTEXT)),
            "containers": [draw(_container("app", probed=True))],
            "initContainers": draw(st.one_of(st.none(), _container("init", probed=False).map(lambda c: [c]))),
            "volumes": [{"name": "v", **volume}] if volume else None,
            "hostNetwork": draw(st.sampled_from([None, None, None, False, True])),
            "hostPID": draw(st.sampled_from([None, None, None, True])),
        }
    )
