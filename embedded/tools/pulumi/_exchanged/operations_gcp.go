package operations

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// GCPOperationsProvider takes the place of upstream's, which reads the logs of resources in that cloud: it refuses.
func GCPOperationsProvider(map[config.Key]string, *Resource) (Provider, error) {
	return nil, errors.New("this build of Pulumi reads no logs from GCP: use the official release of Pulumi")
}
