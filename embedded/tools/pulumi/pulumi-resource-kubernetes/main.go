// The Kubernetes resource plugin of Pulumi, from the provider library: upstream's own main embeds a generated
// schema that its module does not hold.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// Version is the provider's release; it is the one that the Python SDK in requirements.in is pinned to.
const Version = "4.25.0"

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

func main() { provider.Serve("kubernetes", Version, schema, mapping) }
