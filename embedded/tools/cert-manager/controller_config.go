package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/cert-manager/cert-manager/internal/pem"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	config "github.com/cert-manager/cert-manager/pkg/apis/config/controller/v1alpha1"
	shared "github.com/cert-manager/cert-manager/pkg/apis/config/shared/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	"github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	ingresses "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	requestacme "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	requestca "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	requestselfsigned "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	requestvault "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	certificatemetrics "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
)

// defaultControllers is upstream's default set without the Venafi controller, whose client library no proxy serves in
// the version that cert-manager requires. Upstream's package of defaults imports that library too, hence this copy.
var defaultControllers = []string{
	issuers.ControllerName,
	clusterissuers.ControllerName,
	certificatemetrics.ControllerName,
	ingresses.ControllerName,
	acmeorders.ControllerName,
	acmechallenges.ControllerName,
	requestacme.CRControllerName,
	approver.ControllerName,
	requestca.CRControllerName,
	requestselfsigned.CRControllerName,
	requestvault.CRControllerName,
	trigger.ControllerName,
	issuing.ControllerName,
	keymanager.ControllerName,
	requestmanager.ControllerName,
	readiness.ControllerName,
	revisionmanager.ControllerName,
}

func controllerConfiguration(args []string) (*config.ControllerConfiguration, error) {
	cfg := controllerDefaults()
	err := parse("controller", args,
		func(path string) error { return loadControllerFile(path, cfg) },
		func(flags *pflag.FlagSet) { declareControllerFlags(flags, cfg) })
	if err != nil {
		return nil, err
	}
	if err := requireLoopback("metrics-listen-address", cfg.MetricsListenAddress); err != nil {
		return nil, err
	}
	return cfg, requireLoopback("healthz-listen-address", cfg.HealthzListenAddress)
}

// loadControllerFile reads a ControllerConfiguration over the defaults in cfg and refuses unknown fields.
func loadControllerFile(path string, cfg *config.ControllerConfiguration) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(data, cfg); err != nil {
		return err
	}
	if cfg.Kind != "" && cfg.Kind != "ControllerConfiguration" {
		return fmt.Errorf("kind is %q, want ControllerConfiguration", cfg.Kind)
	}
	return nil
}

func controllerDefaults() *config.ControllerConfiguration {
	limits := pem.DefaultSizeLimits()
	cfg := &config.ControllerConfiguration{
		KubernetesAPIQPS:                new(float32(20)),
		KubernetesAPIBurst:              new(int32(50)),
		ClusterResourceNamespace:        "kube-system",
		Controllers:                     []string{"*"},
		IssuerAmbientCredentials:        new(false),
		ClusterIssuerAmbientCredentials: new(true),
		EnableCertificateOwnerRef:       new(false),
		EnableGatewayAPI:                new(false),
		EnableGatewayAPIListenerSet:     new(false),
		CopiedAnnotationPrefixes:        []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
		NumberOfConcurrentWorkers:       new(int32(5)),
		MaxConcurrentChallenges:         new(int32(60)),
		GatewayAPIConfig:                config.GatewayAPIConfig{Enabled: new(false), EnableListenerSet: new(false)},
		IngressShimConfig: config.IngressShimConfig{
			DefaultIssuerKind:                 "Issuer",
			DefaultIssuerGroup:                cmapi.GroupName,
			DefaultAutoCertificateAnnotations: []string{"kubernetes.io/tls-acme"},
		},
		ACMEHTTP01Config: config.ACMEHTTP01Config{
			SolverResourceRequestCPU:    "10m",
			SolverResourceRequestMemory: "64Mi",
			SolverResourceLimitsCPU:     "100m",
			SolverResourceLimitsMemory:  "64Mi",
			SolverRunAsNonRoot:          new(true),
		},
		ACMEDNS01Config: config.ACMEDNS01Config{
			RecursiveNameserversOnly: new(false),
			CheckRetryPeriod:         shared.DurationFromTime(10 * time.Second),
		},
		PEMSizeLimitsConfig: config.PEMSizeLimitsConfig{
			MaxCertificateSize: new(int32(limits.MaxCertificateSize)),
			MaxPrivateKeySize:  new(int32(limits.MaxPrivateKeySize)),
			MaxChainLength:     new(int32(limits.MaxChainLength)),
			MaxBundleSize:      new(int32(limits.MaxBundleSize)),
		},
		CertificateRequestMinimumBackoffDuration: shared.DurationFromTime(time.Hour),
		CertificateRequestMaximumBackoffDuration: shared.DurationFromTime(32 * time.Hour),
	}
	logsapi.SetRecommendedLoggingConfiguration(&cfg.Logging)
	return cfg
}

// gatewayAPI and listenerSets honour a setting and its deprecated predecessor, which charts in use still write.
func gatewayAPI(cfg *config.ControllerConfiguration) bool {
	return *cfg.GatewayAPIConfig.Enabled || *cfg.EnableGatewayAPI
}

func listenerSets(cfg *config.ControllerConfiguration) bool {
	return *cfg.GatewayAPIConfig.EnableListenerSet || *cfg.EnableGatewayAPIListenerSet
}
