"""What of a request counts as a change of an object, and who works on the objects of every namespace.

Controllers, kubelets and drivers write what they found or did: a status, a node for a pod, an annotation. Others
believe it: the address in the status of a pod is where its Service sends connections. Whoever may do so in all
namespaces is one of these, and needs no right to an account. A right that is granted in one namespace is not enough.
"""

from components.service.native_policy import cel_list

_RESOURCE = "authorizer.group(request.resource.group).resource(request.resource.resource)"
_EVERYWHERE = (
    "((request.?subResource.orValue('') == 'status' && 'system:nodes' in request.userInfo.?groups.orValue([])) || "
    "(request.operation == 'UPDATE' ? ['update', 'patch'] : [request.operation.lowerAscii()]).exists(verb, "
    f"{_RESOURCE}.subresource(request.?subResource.orValue('')).check(verb).allowed()))"
)
"""Whether the user may do this in all namespaces. A kubelet may, for its own pods: NodeRestriction sees to that."""

UNBOUNDED = ("/resourcequotas", "/limitranges")
"""What bounds every pod of its namespace: with another one no pod of a service starts."""

# By these a person works. Every other subresource is for a controller.
_OF_PEOPLE = ("", "scale", "ephemeralcontainers")


def _annotated(condition: str) -> str:
    return (
        "[dyn(object), dyn(oldObject)].exists(o, o.metadata.?annotations.orValue({}).exists(k, "
        f"{condition} && dyn(object).metadata.?annotations[?k] != dyn(oldObject).metadata.?annotations[?k]))"
    )


# Drivers of storage and networks annotate claims and pods that live, and believe what they read there: Calico takes the
# address of a pod from it until the kubelet has reported one. What the mesh takes from one is nobody's to change.
_OF_THE_MESH = "(!(request.resource.resource in ['pods', 'persistentvolumeclaims']) || k.contains('istio.io/'))"
# An update that changes the status alone, finalizers, or what the API server itself keeps is none.
CHANGED = (
    f"!(request.?subResource.orValue('') in {cel_list(_OF_PEOPLE)}) || "
    f"(request.resource.group + '/' + request.resource.resource) in {cel_list(UNBOUNDED)} ? !{_EVERYWHERE} : "
    f"request.operation != 'UPDATE' || {_annotated(_OF_THE_MESH)} || "
    "['labels', 'ownerReferences'].exists(k, dyn(object).metadata[?k] != dyn(oldObject).metadata[?k]) || "
    "dyn(object).exists(k, !(k in ['metadata', 'status']) && dyn(object)[?k] != dyn(oldObject)[?k]) || "
    "dyn(oldObject).exists(k, !(k in ['metadata', 'status']) && !(k in dyn(object))) || "
    f"({_annotated('true')} && !{_EVERYWHERE})"
)
"""The condition under which the policy looks at a request."""
