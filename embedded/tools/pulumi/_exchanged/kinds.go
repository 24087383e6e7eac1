// Package v2 takes the place of upstream's table of kinds, which has a Go type for each kind of each version: two
// thirds of the provider's build. The engine is told the same type token and the same properties without them.
package v2

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource registers one object of a manifest. Its type token is that of the provider's schema:
// kubernetes:<group>/<version>:<kind>, where the group without a name is called core.
func RegisterResource(ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input,
	opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	if apiVersion == "v1" {
		apiVersion = "core/v1"
	}
	var object struct{ pulumi.CustomResourceState }
	if err := ctx.RegisterResource(fmt.Sprintf("kubernetes:%s:%s", apiVersion, kind), name, props, &object, opts...); err != nil {
		return nil, err
	}
	return &object, nil
}
