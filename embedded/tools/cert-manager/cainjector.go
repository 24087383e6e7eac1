package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	kscheme "k8s.io/client-go/kubernetes/scheme"
	cliflag "k8s.io/component-base/cli/flag"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	config "github.com/cert-manager/cert-manager/internal/apis/config/cainjector"
	configscheme "github.com/cert-manager/cert-manager/internal/apis/config/cainjector/scheme"
	"github.com/cert-manager/cert-manager/internal/kube"
	cmapi "github.com/cert-manager/cert-manager/pkg/api"
	configv1alpha1 "github.com/cert-manager/cert-manager/pkg/apis/config/cainjector/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/cainjector/configfile"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

const cacheCheckTimeout = time.Second

// runCAInjector keeps the CA bundles of annotated webhook configurations, CRDs and API services up to date.
func runCAInjector(ctx context.Context, args []string) error {
	cfg, health, err := caInjectorConfiguration(args)
	if err != nil {
		return err
	}
	if err := applyProcessWide(cfg.FeatureGates, &cfg.Logging); err != nil {
		return err
	}
	manager, err := caInjectorManager(ctx, cfg)
	if err != nil {
		return err
	}
	err = cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		Namespace:                    cfg.Namespace,
		IgnoreNamespaces:             cfg.IgnoreNamespaces,
		EnableCertificatesDataSource: cfg.EnableDataSourceConfig.Certificates,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   cfg.EnableInjectableConfig.MutatingWebhookConfigurations,
			cainjector.ValidatingWebhookConfigurationName: cfg.EnableInjectableConfig.ValidatingWebhookConfigurations,
			cainjector.APIServiceName:                     cfg.EnableInjectableConfig.APIServices,
			cainjector.CustomResourceDefinitionName:       cfg.EnableInjectableConfig.CustomResourceDefinitions,
		},
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return manager.Start(ctx) })
	group.Go(func() error { return serveHealth(ctx, health, cacheCheck(manager.GetCache())) })
	return group.Wait()
}

func caInjectorConfiguration(args []string) (*config.CAInjectorConfiguration, string, error) {
	scheme, _, err := configscheme.NewSchemeAndCodecs()
	if err != nil {
		return nil, "", err
	}
	versioned := &configv1alpha1.CAInjectorConfiguration{}
	scheme.Default(versioned)
	defaults := &config.CAInjectorConfiguration{}
	if err := scheme.Convert(versioned, defaults, nil); err != nil {
		return nil, "", err
	}
	file := &configfile.CAInjectorConfigFile{Config: defaults}
	var health string
	err = parse("cainjector", args, loadInto(file), func(flags *pflag.FlagSet) {
		flags.StringVar(&health, "healthz-listen-address", "0", "loopback host:port of the health endpoint, or 0")
		declareCAInjectorFlags(flags, file.Config)
	})
	if err != nil {
		return nil, "", err
	}
	if err := requireLoopback("healthz-listen-address", health); err != nil {
		return nil, "", err
	}
	return file.Config, health, requireLoopback("metrics-listen-address", file.Config.MetricsListenAddress)
}

func declareCAInjectorFlags(flags *pflag.FlagSet, cfg *config.CAInjectorConfiguration) {
	flags.StringVar(&cfg.KubeConfig, "kubeconfig", cfg.KubeConfig, "kubeconfig of the API server")
	flags.StringVar(&cfg.Namespace, "namespace", cfg.Namespace, "watch one namespace only")
	flags.StringSliceVar(&cfg.IgnoreNamespaces, "ignore-namespaces", cfg.IgnoreNamespaces, "namespaces to leave alone")
	cfg.MetricsListenAddress = metricsOff
	flags.StringVar(&cfg.MetricsListenAddress, "metrics-listen-address", cfg.MetricsListenAddress, "loopback host:port, or 0")
	sources, targets := &cfg.EnableDataSourceConfig, &cfg.EnableInjectableConfig
	for name, enabled := range map[string]*bool{
		"enable-certificates-data-source":                   &sources.Certificates,
		"enable-customresourcedefinitions-injectable":       &targets.CustomResourceDefinitions,
		"enable-apiservices-injectable":                     &targets.APIServices,
		"enable-mutatingwebhookconfigurations-injectable":   &targets.MutatingWebhookConfigurations,
		"enable-validatingwebhookconfigurations-injectable": &targets.ValidatingWebhookConfigurations,
	} {
		flags.BoolVar(enabled, name, *enabled, "see cert-manager's documentation of cainjector")
	}
	declareLeaderElection(flags)
	flags.Var(cliflag.NewMapStringBool(&cfg.FeatureGates), "feature-gates",
		"key=value pairs of: "+strings.Join(utilfeature.DefaultFeatureGate.KnownFeatures(), ", "))
	logf.AddFlags(&cfg.Logging, flags)
}

func caInjectorManager(ctx context.Context, cfg *config.CAInjectorConfiguration) (ctrl.Manager, error) {
	//nolint:staticcheck // Upstream's components load their kubeconfig with it too.
	restConfig, err := kube.BuildClientConfig("", cfg.KubeConfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		kscheme.AddToScheme, cmapi.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	caching := cache.Options{ReaderFailOnMissingInformer: true}
	if cfg.Namespace != "" {
		caching.DefaultNamespaces = map[string]cache.Config{cfg.Namespace: {}}
	}
	return ctrl.NewManager(util.RestConfigWithUserAgent(restConfig, "cainjector"), ctrl.Options{
		Scheme:  scheme,
		Logger:  logf.FromContext(ctx),
		Cache:   caching,
		Metrics: metricsserver.Options{BindAddress: cfg.MetricsListenAddress},
		// Secrets are watched as metadata only and read when needed, so that their data stay out of memory.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{new(corev1.Secret)}}},
	})
}

func cacheCheck(informers cache.Cache) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, cacheCheckTimeout)
		defer cancel()
		if !informers.WaitForCacheSync(ctx) {
			return fmt.Errorf("%w: caches are not filled", errNotReady)
		}
		return nil
	}
}
