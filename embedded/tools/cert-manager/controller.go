package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/cert-manager/cert-manager/internal/controller/feature"
	"github.com/cert-manager/cert-manager/internal/pem"
	config "github.com/cert-manager/cert-manager/pkg/apis/config/controller/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	gateways "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/gateways"
	listenerset "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/listenerset"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/server"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

// runController runs the issuer, certificate and ACME controllers, and the ones for Ingress and Gateway API objects.
func runController(ctx context.Context, args []string) error {
	cfg, err := controllerConfiguration(args)
	if err != nil {
		return err
	}
	if err := applyProcessWide(cfg.FeatureGates, &cfg.Logging); err != nil {
		return err
	}
	limits := cfg.PEMSizeLimitsConfig
	pem.SetGlobalSizeLimits(pem.NewSizeLimitsFromConfig(
		int(*limits.MaxCertificateSize), int(*limits.MaxPrivateKeySize), int(*limits.MaxChainLength), int(*limits.MaxBundleSize)))

	group, ctx := errgroup.WithContext(ctx)
	options, err := contextOptions(cfg)
	if err != nil {
		return err
	}
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	if err := startControllers(ctx, group, factory, cfg); err != nil {
		return err
	}
	serveMetrics(ctx, group, shared, cfg.MetricsListenAddress)

	var synced atomic.Bool
	group.Go(func() error {
		return serveHealth(ctx, cfg.HealthzListenAddress, func(context.Context) error {
			if !synced.Load() {
				return fmt.Errorf("%w: caches are not filled", errNotReady)
			}
			return nil
		})
	})
	startInformers(ctx, shared)
	synced.Store(true)
	logf.FromContext(ctx).Info("caches are filled, controllers run")
	return group.Wait()
}

func startControllers(
	ctx context.Context, group *errgroup.Group, factory *controller.ContextFactory, cfg *config.ControllerConfiguration,
) error {
	enabled := enabledControllers(cfg)
	for name, construct := range controller.Known() {
		if !enabled.Has(name) {
			continue
		}
		running, err := construct(factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		group.Go(func() error {
			if err := running.Run(int(*cfg.NumberOfConcurrentWorkers), ctx); err != nil {
				return fmt.Errorf("controller %s: %w", name, err)
			}
			return nil
		})
	}
	return nil
}

// enabledControllers follows upstream: "*" stands for the default set, "-name" removes one, and the controllers
// for the Gateway API come with its switch.
func enabledControllers(cfg *config.ControllerConfiguration) sets.Set[string] {
	enabled, disabled := sets.New[string](), sets.New[string]()
	for _, name := range cfg.Controllers {
		switch {
		case name == "*":
			enabled.Insert(defaultControllers...)
		case name[0] == '-':
			disabled.Insert(name[1:])
		default:
			enabled.Insert(name)
		}
	}
	if gatewayAPI(cfg) && utilfeature.DefaultFeatureGate.Enabled(feature.ExperimentalGatewayAPISupport) {
		enabled.Insert(gateways.ControllerName)
		if listenerSets(cfg) && utilfeature.DefaultFeatureGate.Enabled(feature.ListenerSets) {
			enabled.Insert(listenerset.ControllerName)
		}
	}
	if cfg.Namespace != "" {
		disabled.Insert(clusterissuers.ControllerName)
	}
	return enabled.Difference(disabled)
}

func serveMetrics(ctx context.Context, group *errgroup.Group, shared *controller.Context, address string) {
	if address == metricsOff {
		return
	}
	group.Go(func() error {
		listener, err := server.Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		metrics := shared.Metrics.NewServer(listener)
		go func() {
			<-ctx.Done()
			_ = metrics.Close()
		}()
		if err := metrics.Serve(listener); ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// startInformers starts the informers that the controllers asked for and waits until their caches are filled.
func startInformers(ctx context.Context, shared *controller.Context) {
	stop := ctx.Done()
	shared.SharedInformerFactory.Start(stop)
	shared.KubeSharedInformerFactory.Start(stop)
	shared.HTTP01ResourceMetadataInformersFactory.Start(stop)
	if shared.GatewaySolverEnabled {
		shared.GWShared.Start(stop)
		shared.GWShared.WaitForCacheSync(stop)
	}
	shared.SharedInformerFactory.WaitForCacheSync(stop)
	shared.KubeSharedInformerFactory.WaitForCacheSync(stop)
	shared.HTTP01ResourceMetadataInformersFactory.WaitForCacheSync(stop)
}
