package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	cliflag "k8s.io/component-base/cli/flag"

	config "github.com/cert-manager/cert-manager/pkg/apis/config/controller/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	dnsutil "github.com/cert-manager/cert-manager/pkg/issuer/acme/dns/util"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

func declareControllerFlags(flags *pflag.FlagSet, cfg *config.ControllerConfiguration) {
	const upstream = "as cert-manager's controller has it"
	flags.StringVar(&cfg.KubeConfig, "kubeconfig", cfg.KubeConfig, "kubeconfig of the API server")
	cfg.MetricsListenAddress, cfg.HealthzListenAddress = metricsOff, "0"
	flags.StringVar(&cfg.MetricsListenAddress, "metrics-listen-address", cfg.MetricsListenAddress, "loopback host:port, or 0")
	flags.StringVar(&cfg.HealthzListenAddress, "healthz-listen-address", cfg.HealthzListenAddress, "loopback host:port, or 0")
	flags.StringVar(&cfg.Namespace, "namespace", cfg.Namespace, upstream)
	flags.StringVar(&cfg.ClusterResourceNamespace, "cluster-resource-namespace", cfg.ClusterResourceNamespace, upstream)
	flags.StringSliceVar(&cfg.Controllers, "controllers", cfg.Controllers, upstream)
	flags.StringSliceVar(&cfg.CopiedAnnotationPrefixes, "copied-annotation-prefixes", cfg.CopiedAnnotationPrefixes, upstream)
	for name, number := range map[string]*int32{
		"concurrent-workers":        cfg.NumberOfConcurrentWorkers,
		"max-concurrent-challenges": cfg.MaxConcurrentChallenges,
	} {
		flags.Int32Var(number, name, *number, upstream)
	}
	for name, enabled := range map[string]*bool{
		"enable-certificate-owner-ref":       cfg.EnableCertificateOwnerRef,
		"enable-gateway-api":                 cfg.GatewayAPIConfig.Enabled,
		"enable-gateway-api-listenerset":     cfg.GatewayAPIConfig.EnableListenerSet,
		"issuer-ambient-credentials":         cfg.IssuerAmbientCredentials,
		"cluster-issuer-ambient-credentials": cfg.ClusterIssuerAmbientCredentials,
		"dns01-recursive-nameservers-only":   cfg.ACMEDNS01Config.RecursiveNameserversOnly,
	} {
		flags.BoolVar(enabled, name, *enabled, upstream)
	}

	shim := &cfg.IngressShimConfig
	flags.StringVar(&shim.DefaultIssuerName, "default-issuer-name", shim.DefaultIssuerName, upstream)
	flags.StringVar(&shim.DefaultIssuerKind, "default-issuer-kind", shim.DefaultIssuerKind, upstream)
	flags.StringVar(&shim.DefaultIssuerGroup, "default-issuer-group", shim.DefaultIssuerGroup, upstream)

	solver := &cfg.ACMEHTTP01Config
	flags.StringVar(&solver.SolverImage, "acme-http01-solver-image", solver.SolverImage, upstream)
	flags.StringVar(&solver.SolverRuntimeClassName, "acme-http01-solver-runtime-class-name",
		solver.SolverRuntimeClassName, upstream)
	flags.StringSliceVar(&solver.SolverNameservers, "acme-http01-solver-nameservers", solver.SolverNameservers, upstream)
	flags.StringToStringVar(&solver.SolverExtraLabels, "acme-http01-solver-extra-labels", solver.SolverExtraLabels, upstream)

	dns := &cfg.ACMEDNS01Config
	flags.StringSliceVar(&dns.RecursiveNameservers, "dns01-recursive-nameservers", dns.RecursiveNameservers, upstream)

	declareLeaderElection(flags)
	flags.Var(cliflag.NewMapStringBool(&cfg.FeatureGates), "feature-gates",
		"key=value pairs of: "+strings.Join(utilfeature.DefaultFeatureGate.KnownFeatures(), ", "))
	logf.AddFlags(&cfg.Logging, flags)
}

// contextOptions is the translation that upstream's command makes between its configuration and its library.
func contextOptions(cfg *config.ControllerConfiguration) (controller.ContextOptions, error) {
	acme, err := acmeOptions(cfg)
	if err != nil {
		return controller.ContextOptions{}, err
	}
	shim := cfg.IngressShimConfig
	return controller.ContextOptions{
		Kubeconfig:         cfg.KubeConfig,
		KubernetesAPIQPS:   *cfg.KubernetesAPIQPS,
		KubernetesAPIBurst: int(*cfg.KubernetesAPIBurst),
		Namespace:          cfg.Namespace,
		ACMEOptions:        acme,
		IssuerOptions: controller.IssuerOptions{
			ClusterResourceNamespace:        cfg.ClusterResourceNamespace,
			ClusterIssuerAmbientCredentials: *cfg.ClusterIssuerAmbientCredentials,
			IssuerAmbientCredentials:        *cfg.IssuerAmbientCredentials,
		},
		IngressShimOptions: controller.IngressShimOptions{
			DefaultIssuerName:                 shim.DefaultIssuerName,
			DefaultIssuerKind:                 shim.DefaultIssuerKind,
			DefaultIssuerGroup:                shim.DefaultIssuerGroup,
			DefaultAutoCertificateAnnotations: shim.DefaultAutoCertificateAnnotations,
			ExtraCertificateAnnotations:       shim.ExtraCertificateAnnotations,
			GatewayAPIExtraProtocols:          sets.New(cfg.GatewayAPIConfig.ExtraProtocols...),
		},
		CertificateOptions: controller.CertificateOptions{
			EnableOwnerRef:                           *cfg.EnableCertificateOwnerRef,
			CopiedAnnotationPrefixes:                 cfg.CopiedAnnotationPrefixes,
			CertificateRequestMinimumBackoffDuration: cfg.CertificateRequestMinimumBackoffDuration.Duration.Duration,
			CertificateRequestMaximumBackoffDuration: cfg.CertificateRequestMaximumBackoffDuration.Duration.Duration,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: int(*cfg.MaxConcurrentChallenges)},
		ConfigOptions: controller.ConfigOptions{
			EnableGatewayAPI:            gatewayAPI(cfg),
			EnableGatewayAPIListenerSet: listenerSets(cfg),
		},
	}, nil
}

func acmeOptions(cfg *config.ControllerConfiguration) (controller.ACMEOptions, error) {
	solver, dns := cfg.ACMEHTTP01Config, cfg.ACMEDNS01Config
	options := controller.ACMEOptions{
		HTTP01SolverImage:            solver.SolverImage,
		ACMEHTTP01SolverRunAsNonRoot: *solver.SolverRunAsNonRoot,
		HTTP01SolverRuntimeClassName: solver.SolverRuntimeClassName,
		HTTP01SolverNameservers:      solver.SolverNameservers,
		HTTP01SolverExtraLabels:      solver.SolverExtraLabels,
		DNS01CheckAuthoritative:      !*dns.RecursiveNameserversOnly,
		DNS01Nameservers:             dns.RecursiveNameservers,
		DNS01CheckRetryPeriod:        dns.CheckRetryPeriod.Duration.Duration,
	}
	if len(options.DNS01Nameservers) == 0 {
		options.DNS01Nameservers = dnsutil.RecursiveNameservers
	}
	for field, pair := range map[string]struct {
		text   string
		target *resource.Quantity
	}{
		"solverResourceRequestCPU":    {solver.SolverResourceRequestCPU, &options.HTTP01SolverResourceRequestCPU},
		"solverResourceRequestMemory": {solver.SolverResourceRequestMemory, &options.HTTP01SolverResourceRequestMemory},
		"solverResourceLimitsCPU":     {solver.SolverResourceLimitsCPU, &options.HTTP01SolverResourceLimitsCPU},
		"solverResourceLimitsMemory":  {solver.SolverResourceLimitsMemory, &options.HTTP01SolverResourceLimitsMemory},
	} {
		quantity, err := resource.ParseQuantity(pair.text)
		if err != nil {
			return options, fmt.Errorf("acmeHTTP01Config.%s %q: %w", field, pair.text, err)
		}
		*pair.target = quantity
	}
	return options, nil
}
