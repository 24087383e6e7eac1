"""What goes with its namespace: `pulumi destroy` deletes the namespace, and the cluster deletes what is in it.

Deleted one by one, each object waits for the garbage collector, and policies go while pods still run.
"""

from collections.abc import Mapping

import pulumi

from components.kube.written import below

# Kinds whose objects nothing has to be done about when they go. Not among them: workloads, since a namespace whose pods
# take their time is looked at again only half that time later; claims, which hold data; and the objects of operators,
# which let go of theirs only while they have rights in the namespace.
_GO_WITH_IT = frozenset(
    {
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:core/v1:Secret",
        "kubernetes:core/v1:ServiceAccount",
        "kubernetes:rbac.authorization.k8s.io/v1:Role",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:policy/v1:PodDisruptionBudget",
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "kubernetes:networking.istio.io/v1:DestinationRule",
        "kubernetes:networking.istio.io/v1:ServiceEntry",
        "kubernetes:networking.istio.io/v1:Sidecar",
        "kubernetes:security.istio.io/v1:AuthorizationPolicy",
        "kubernetes:security.istio.io/v1:PeerAuthentication",
        "kubernetes:security.istio.io/v1:RequestAuthentication",
    }
)
_SERVICE = "kubernetes:core/v1:Service"


def delete_with(namespaces: Mapping[str, pulumi.Resource]) -> None:
    """From now on let objects in these namespaces go with them. Pass no namespace that stays when its stack goes.

    While a namespace stays, its objects are deleted as any other.
    https://www.pulumi.com/docs/iac/concepts/options/deletedwith/
    """

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        namespace = namespaces.get(below(args.props, "metadata").get("namespace", ""))
        if namespace is None or args.opts.retain_on_delete or not _goes_with_it(args.type_, args.props):
            return None
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=namespace))
        return pulumi.ResourceTransformationResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(transform)


def _goes_with_it(type_: str, props: Mapping[str, object]) -> bool:
    # A load balancer in the cloud is given back before its Service may go.
    kind_of_service = below(props, "spec").get("type", "ClusterIP")
    return type_ in _GO_WITH_IT or (type_ == _SERVICE and kind_of_service == "ClusterIP")
