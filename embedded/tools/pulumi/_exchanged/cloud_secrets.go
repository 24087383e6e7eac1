// Package cloud takes the place of upstream's secrets providers in three clouds: a stack of the embedded control plane
// has the passphrase, and a build without them needs no cloud's SDK.
package cloud

import (
	"encoding/json"
	"errors"

	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Type is the name of such a provider in a stack's state.
const Type = "cloud"

var errLeftOut = errors.New("this build of Pulumi has no secrets providers of clouds: " +
	"use the passphrase, or the official release of Pulumi")

// EditProjectStack refuses.
func EditProjectStack(*workspace.ProjectStack, json.RawMessage) error { return errLeftOut }

// NewCloudSecretsManagerFromState refuses.
func NewCloudSecretsManagerFromState(json.RawMessage) (secrets.Manager, error) {
	return nil, errLeftOut
}

// NewCloudSecretsManager refuses.
func NewCloudSecretsManager(*workspace.ProjectStack, string, bool) (secrets.Manager, error) {
	return nil, errLeftOut
}
