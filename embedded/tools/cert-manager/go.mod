// The path lies below cert-manager's own, as those of its nested command modules do: Go lets only such packages import
// its internal ones, and the admission webhook is among them.
module github.com/cert-manager/cert-manager/embedded

go 1.26.0

require github.com/cert-manager/cert-manager v1.21.2
