package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	cmwebhook "github.com/cert-manager/cert-manager/internal/webhook"
	_ "github.com/cert-manager/cert-manager/internal/webhook/feature"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/admission"
	"github.com/cert-manager/cert-manager/pkg/webhook/configfile"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
	"github.com/cert-manager/cert-manager/pkg/webhook/server"
)

// runWebhook serves /validate and /mutate with a certificate signed by the CA that it keeps in a Secret, from which
// cainjector fills the caBundle of the webhook configurations.
func runWebhook(ctx context.Context, args []string) error {
	cfg, address, err := webhookConfiguration(args)
	if err != nil {
		return err
	}
	if err := applyProcessWide(cfg.FeatureGates, &cfg.Logging); err != nil {
		return err
	}
	upstream, err := cmwebhook.NewCertManagerWebhookServer(logf.FromContext(ctx), *cfg)
	if err != nil {
		return err
	}
	if upstream.CertificateSource == nil {
		return fmt.Errorf("no serving certificate: set the --dynamic-serving-… or the --tls-… flags")
	}
	manager, err := webhookManager(ctx, upstream, address)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return manager.Start(ctx) })
	group.Go(func() error {
		health := net.JoinHostPort(address, strconv.Itoa(int(cfg.HealthzPort)))
		listening := manager.GetWebhookServer().StartedChecker()
		return serveHealth(ctx, health, func(context.Context) error {
			if !upstream.CertificateSource.Healthy() {
				return fmt.Errorf("%w: no serving certificate yet", errNotReady)
			}
			return listening(nil)
		})
	})
	return group.Wait()
}

func webhookConfiguration(args []string) (*config.WebhookConfiguration, string, error) {
	defaults, err := options.NewWebhookConfiguration()
	if err != nil {
		return nil, "", err
	}
	file := &configfile.WebhookConfigFile{Config: defaults}
	var address string
	err = parse("webhook", args, loadInto(file), func(flags *pflag.FlagSet) {
		file.Config.MetricsListenAddress = metricsOff
		options.AddConfigFlags(flags, file.Config)
		flags.StringVar(&address, "bind-address", "127.0.0.1", "loopback address of the webhook and its health endpoint")
	})
	if err != nil {
		return nil, "", err
	}
	if err := requireLoopback("bind-address", net.JoinHostPort(address, "0")); err != nil {
		return nil, "", err
	}
	return file.Config, address, requireLoopback("metrics-listen-address", file.Config.MetricsListenAddress)
}

// webhookManager stands in for server.Server.Run, which listens on every address of the machine.
func webhookManager(ctx context.Context, upstream *server.Server, address string) (ctrl.Manager, error) {
	ciphers, err := cliflag.TLSCipherSuites(upstream.CipherSuites)
	if err != nil {
		return nil, err
	}
	minVersion, err := cliflag.TLSVersion(upstream.MinTLSVersion)
	if err != nil {
		return nil, err
	}
	// The manager itself never talks to the API server: the admission chain and the certificate source do.
	manager, err := ctrl.NewManager(&rest.Config{}, ctrl.Options{
		Scheme:  upstream.ResourceScheme,
		Logger:  logf.FromContext(ctx),
		Metrics: metricsserver.Options{BindAddress: upstream.MetricsListenAddress},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: address,
			Port: upstream.ListenAddr,
			TLSOpts: []func(*tls.Config){func(cfg *tls.Config) {
				cfg.CipherSuites = ciphers
				cfg.MinVersion = minVersion
				cfg.GetCertificate = upstream.CertificateSource.GetCertificate
			}},
		}),
	})
	if err != nil {
		return nil, err
	}
	if err := manager.Add(upstream.CertificateSource); err != nil {
		return nil, err
	}
	hooks := manager.GetWebhookServer()
	hooks.Register("/mutate", admission.NewCustomMutationWebhook(upstream.MutationWebhook))
	hooks.Register("/validate", admission.NewCustomValidationWebhook(manager.GetScheme(), upstream.ValidationWebhook))
	return manager, nil
}
