// Package register takes the place of upstream's list of providers: Vault alone, so that the SDKs of thirty clouds are
// not compiled.
package register

import (
	_ "github.com/external-secrets/external-secrets/pkg/provider/vault"
)
