// Command external-secrets runs the External Secrets Operator as a process of the host: upstream's own command, but for
// the webhook, which upstream can't keep to loopback.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/cmd/controller"
	"github.com/external-secrets/external-secrets/pkg/controllers/crds"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "webhook" {
		controller.Execute()
		return
	}
	if err := runWebhook(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "external-secrets webhook: %v\n", err)
		os.Exit(1)
	}
}

// runWebhook judges stores and external secrets as upstream does, with the flags that the chart gives its container.
func runWebhook(args []string) error {
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	host := flags.String("host", "127.0.0.1", "address to listen at")
	port := flags.Int("port", 10250, "port to listen at")
	directory := flags.String("cert-dir", "", "directory of tls.crt, tls.key and ca.crt")
	name := flags.String("dns-name", "localhost", "name in the certificate")
	metrics := flags.String("metrics-addr", "0", "address of the metrics")
	health := flags.String("healthz-addr", "0", "address of the health check")
	for _, unused := range []string{"check-interval", "loglevel", "zap-time-encoding"} {
		flags.String(unused, "", "as upstream has it; without effect here")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New())
	scheme := runtime.NewScheme()
	if err := esv1.AddToScheme(scheme); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                server.Options{BindAddress: *metrics},
		HealthProbeBindAddress: *health,
		WebhookServer:          webhook.NewServer(webhook.Options{Host: *host, Port: *port, CertDir: *directory}),
	})
	if err != nil {
		return err
	}
	for _, register := range []func(ctrl.Manager) error{
		(&esv1.ExternalSecret{}).SetupWebhookWithManager,
		(&esv1.SecretStore{}).SetupWebhookWithManager,
	} {
		if err := register(manager); err != nil {
			return err
		}
	}
	certificate := crds.CertInfo{CertDir: *directory, CertName: "tls.crt", KeyName: "tls.key", CAName: "ca.crt"}
	valid := func(*http.Request) error { return crds.CheckCerts(certificate, *name, time.Now().Add(time.Hour)) }
	if err := manager.AddReadyzCheck("certs", valid); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
