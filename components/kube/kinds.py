"""Kinds of objects that charts bring, and which of them are in no namespace. This module imports no SDK."""

CLUSTER_KINDS = frozenset(
    {
        # Kubernetes.
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
        # The platform's layers.
        "ClusterCleanupPolicy",
        "ClusterExternalSecret",
        "ClusterGenerator",
        "ClusterIssuer",
        "ClusterPolicy",
        "ClusterPushSecret",
        "ClusterSecretStore",
        "DeletingPolicy",
        "GatewayClass",
        "GeneratingPolicy",
        "GlobalContextEntry",
        "ImageValidatingPolicy",
        "MutatingPolicy",
        "ValidatingPolicy",
        # What other charts bring objects of most.
        "VolumeSnapshotClass",
        "VolumeSnapshotContent",
    }
)
"""Kinds in charts that have no namespace; every other kind defaults to that of its release."""

KUBERNETES_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""The groups that the API server serves by itself; every other one comes with a definition or an APIService."""
