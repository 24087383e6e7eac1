"""The names, hosts and claims by which a request reaches what a service has, as expressions of CEL."""

from components.service.manifests.held import NUMBERED, ORDINAL


def words(lists: str) -> str:
    """A list of lists of names as one list: CEL itself has no function for that in every supported version."""
    return f"{lists}.map(names, names.join(' ')).join(' ').split(' ')"


def references(spec: str) -> str:
    """The list of all `resource/name` that a request names; `spec` is the object that it is to store."""
    return " + ".join(
        (
            "variables.both.map(o, request.resource.resource + '/' + o.metadata.?name.orValue(''))",
            "variables.volumes.map(v, 'persistentvolumeclaims/' + v.?persistentVolumeClaim.?claimName.orValue(''))",
            "variables.volumes.map(v, 'secrets/' + v.?secret.?secretName.orValue(''))",
            words(
                "variables.volumes.map(v, v.?projected.?sources.orValue([])"
                ".map(s, 'secrets/' + s.?secret.?name.orValue('')))"
            ),
            words(
                "variables.containers.map(c, "
                "c.?env.orValue([]).map(e, 'secrets/' + e.?valueFrom.?secretKeyRef.?name.orValue('')) + "
                "c.?envFrom.orValue([]).map(e, 'secrets/' + e.?secretRef.?name.orValue('')))"
            ),
            # A claim of each replica, the data that a claim or a snapshot copies, and the keys of a host.
            (
                f"(variables.kind == 'apps/statefulsets' ? {spec}.?spec.?volumeClaimTemplates.orValue([]).map(t, "
                f"'persistentvolumeclaims/' + t.metadata.name + '-' + {spec}.metadata.name + '-{ORDINAL}') : [])"
            ),
            # A replica takes a claim that is there already under the name that its own would have. Its pod's name is
            # known, too, and with it that of a claim for the life of the pod.
            (
                f"(variables.kind == 'apps/statefulsets' ? {spec}.?spec.?volumeClaimTemplates.orValue([]).map(t, "
                f"'{NUMBERED}/' + t.metadata.name + '-' + {spec}.metadata.name + '-{ORDINAL}') + "
                "variables.volumes.filter(v, has(v.ephemeral)).map(v, "
                f"'{NUMBERED}/' + {spec}.metadata.name + '-{ORDINAL}-' + v.name) : [])"
            ),
            "variables.sources.map(s, 'persistentvolumeclaims/' + s.?name.orValue(''))",
            (
                "(variables.kind == '/pods' ? variables.volumes.filter(v, has(v.ephemeral)).map(v, "
                f"'persistentvolumeclaims/' + {spec}.metadata.?name.orValue('') + '-' + v.name) : [])"
            ),
            (
                "(variables.kind == 'snapshot.storage.k8s.io/volumesnapshots' ? "
                f"['persistentvolumeclaims/' + {spec}.?spec.?source.?persistentVolumeClaimName.orValue('')] : [])"
            ),
            (
                f"(variables.kind == 'networking.k8s.io/ingresses' ? {spec}.?spec.?tls.orValue([])"
                ".map(t, 'secrets/' + t.?secretName.orValue('')) : [])"
            ),
            # Whoever answers at a service's host is the service to the world.
            (
                f"(variables.kind == 'networking.k8s.io/ingresses' ? {spec}.?spec.?rules.orValue([])"
                ".map(r, 'hosts/' + r.?host.orValue('')) + "
                + words(f"{spec}.?spec.?tls.orValue([]).map(t, t.?hosts.orValue([]).map(h, 'hosts/' + h))")
                + " : [])"
            ),
            (
                "(request.resource.group.startsWith('gateway.networking.') "
                f"? {spec}.?spec.?hostnames.orValue([]).map(h, 'hosts/' + h) : [])"
            ),
            (
                f"(variables.kind == 'cert-manager.io/certificates' ? {spec}.?spec.?dnsNames.orValue([])"
                f".map(h, 'hosts/' + h) + ['hosts/' + {spec}.?spec.?commonName.orValue('')] : [])"
            ),
            (
                "(variables.kind == 'cert-manager.io/certificates' ? "
                f"['secrets/' + {spec}.?spec.?secretName.orValue('')] : [])"
            ),
        )
    )


def internal_names(spec: str) -> str:
    """The Services whose names within the cluster a certificate has, unless its issuer is the namespace's own."""
    own = "'.' + request.namespace + '.svc'"
    return (
        "variables.kind == 'cert-manager.io/certificates' && "
        f"!({spec}.?spec.?issuerRef.?kind.orValue('') in ['', 'Issuer'] && "
        f"{spec}.?spec.?issuerRef.?group.orValue('') in ['', 'cert-manager.io']) "
        f"? ({spec}.?spec.?dnsNames.orValue([]) + [{spec}.?spec.?commonName.orValue('')])"
        f".filter(h, h.endsWith({own}) || h.endsWith({own} + '.cluster.local'))"
        f".map(h, h.substring(0, h.lastIndexOf({own}))).map(h, h.substring(h.lastIndexOf('.') + 1)) : []"
    )
