"""The programs of the Kubernetes control plane and their flags, in the order in which they start."""

from embedded.node.names import REAL
from embedded.supervisor import probes
from embedded.supervisor.https_api import HttpsApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, ETCD, FRONT_PROXY, KUBELET_CLIENT, SERVICE_RANGE
from embedded.supervisor.ports import LOOPBACK, address
from embedded.supervisor.process import Program

POD_RANGE = "10.244.0.1/16"
# A lease outlives two missed renewals; the node lifecycle controller calls a node unreachable after 40 s by default.
_NODE_LEASE_SECONDS = 40
# The limits spare an API server that many clusters' worth of clients share; here fifty services would wait for them.
_UNTHROTTLED = ("--kube-api-qps=500", "--kube-api-burst=1000")


def etcd(layout: Layout) -> Program:
    """The store: one member, TLS with client certificates on both of its listeners."""
    pair, ca = layout.pki.pair("etcd"), layout.pki.ca(ETCD)
    client, peer = f"https://{address(layout.ports, 'etcd')}", f"https://{address(layout.ports, 'etcd-peer')}"
    arguments = (
        layout.tool("etcd"),
        f"--data-dir={layout.state.etcd}",
        "--name=embedded",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=embedded={peer}",
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--peer-cert-file={pair.certificate}",
        f"--peer-key-file={pair.key}",
        f"--peer-trusted-ca-file={ca}",
        "--peer-client-cert-auth",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
    )
    ready = probes.api(HttpsApi(client, ca, layout.pki.pair("etcd-client")), "/readyz")
    return host_program(layout, "etcd", arguments, ready)


def api_server(layout: Layout, api: HttpsApi) -> Program:
    """The API server: no anonymous requests, RBAC, Secrets encrypted at rest, webhooks dialled through the proxy."""
    pair, etcd_client = layout.pki.pair("kube-apiserver"), layout.pki.pair("etcd-client")
    kubelet_client, front_proxy = layout.pki.pair(KUBELET_CLIENT), layout.pki.pair(FRONT_PROXY)
    arguments = (
        layout.tool("kube-apiserver"),
        f"--etcd-servers=https://{address(layout.ports, 'etcd')}",
        f"--etcd-cafile={layout.pki.ca(ETCD)}",
        f"--etcd-certfile={etcd_client.certificate}",
        f"--etcd-keyfile={etcd_client.key}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        # The default reconciler publishes the address as an Endpoint, and refuses loopback there.
        "--endpoint-reconciler-type=none",
        f"--secure-port={layout.ports['kube-apiserver']}",
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        f"--client-ca-file={layout.pki.ca(CLUSTER)}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--api-audiences=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={layout.pki.service_account_key}",
        f"--service-account-signing-key-file={layout.pki.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--encryption-provider-config={layout.encryption_config}",
        f"--egress-selector-config-file={layout.egress_config}",
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
        f"--kubelet-certificate-authority={layout.pki.ca(CLUSTER)}",
        "--kubelet-preferred-address-types=InternalIP",
        # As what it asks an API of others, such as the metrics of pods on a real node.
        f"--proxy-client-cert-file={front_proxy.certificate}",
        f"--proxy-client-key-file={front_proxy.key}",
        f"--requestheader-client-ca-file={layout.pki.ca(FRONT_PROXY)}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--allow-privileged=true",
        "--profiling=false",
    )
    return host_program(layout, "kube-apiserver", arguments, probes.api(api, "/readyz"))


def controller_manager(layout: Layout) -> Program:
    """The controllers of Kubernetes, each under its own service account."""
    pair = layout.pki.pair("kube-controller-manager")
    arguments = (
        layout.tool("kube-controller-manager"),
        *_component_flags(layout, "kube-controller-manager"),
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.pki.service_account_key}",
        f"--root-ca-file={layout.pki.ca(CLUSTER)}",
        f"--cluster-signing-cert-file={layout.pki.ca(CLUSTER)}",
        f"--cluster-signing-key-file={layout.pki.ca_key(CLUSTER)}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        *_UNTHROTTLED,
    )
    ready = probes.http("https", layout.ports["kube-controller-manager"], "/healthz")
    return host_program(layout, "kube-controller-manager", arguments, ready)


def scheduler(layout: Layout) -> Program:
    """The scheduler."""
    pair = layout.pki.pair("kube-scheduler")
    arguments = (
        layout.tool("kube-scheduler"),
        *_component_flags(layout, "kube-scheduler"),
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        *_UNTHROTTLED,
    )
    ready = probes.http("https", layout.ports["kube-scheduler"], "/readyz")
    return host_program(layout, "kube-scheduler", arguments, ready)


def kwok(layout: Layout) -> Program:
    """The simulator of nodes and of the pods on them."""
    arguments = (
        layout.tool("kwok"),
        f"--kubeconfig={layout.component_kubeconfig('kwok')}",
        f"--config={layout.kwok_config}",
        # Two that renew one lease are in each other's way.
        f"--manage-nodes-with-label-selector=!{REAL}",
        f"--cidr={POD_RANGE}",
        f"--node-ip={LOOPBACK}",
        f"--node-lease-duration-seconds={_NODE_LEASE_SECONDS}",
        f"--server-address={address(layout.ports, 'kwok')}",
    )
    return host_program(layout, "kwok", arguments, probes.http("http", layout.ports["kwok"], "/healthz"))


def _component_flags(layout: Layout, name: str) -> tuple[str, ...]:
    kubeconfig = layout.component_kubeconfig(name)
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={layout.ports[name]}",
        "--leader-elect=false",
        "--profiling=false",
    )


def host_program(layout: Layout, name: str, arguments: tuple[str, ...], ready: probes.Probe) -> Program:
    """A process with its own directory, log and environment below the checkout's state."""
    return Program(
        name=name,
        arguments=arguments,
        directory=layout.directory(name),
        log=layout.log(name),
        ready=ready,
        environment=layout.environment(name),
    )
