// The release lines before those of ../cluster, for their charts and CRDs alone: what a cluster is upgraded from.
module zero-trust/embedded/tools/previous

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.0
	github.com/kyverno/api v0.0.1-alpha.2.0.20260129144402-7b64bcf2b1f7
	github.com/kyverno/kyverno v1.18.2
	github.com/openreports/reports-api v0.2.1
	sigs.k8s.io/gateway-api v1.5.1
)
