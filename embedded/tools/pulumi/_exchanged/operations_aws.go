package operations

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// AWSOperationsProvider takes the place of upstream's, which reads the logs of resources in that cloud: it refuses.
func AWSOperationsProvider(map[config.Key]string, *Resource) (Provider, error) {
	return nil, errors.New("this build of Pulumi reads no logs from AWS: use the official release of Pulumi")
}
