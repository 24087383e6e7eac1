package main

import (
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util/configfile"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

// metricsOff is the default of --metrics-listen-address. A listen address in a configuration file is not used: it is
// meant for a container, and only flags say where a process of the host listens.
const metricsOff = "0"

// parse reads the flags of args. A file named by --config is the base that flags override, as upstream has it.
// declare adds the flags, bound to whatever configuration currently holds.
func parse(name string, args []string, load func(path string) error, declare func(*pflag.FlagSet)) error {
	var path string
	read := func() error {
		flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
		flags.StringVar(&path, "config", "", "file with the component's configuration object")
		declare(flags)
		if err := flags.Parse(args); err != nil {
			return err
		}
		if extra := flags.Args(); len(extra) > 0 {
			return fmt.Errorf("unexpected argument %q: only flags are accepted", extra[0])
		}
		return nil
	}
	if err := read(); err != nil || path == "" {
		return err
	}
	if err := load(path); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	return read()
}

// loadInto reads a configuration file with upstream's own decoder.
func loadInto(file configfile.ConfigFile) func(path string) error {
	return func(path string) error {
		loader, err := configfile.NewConfigurationFSLoader(nil, path)
		if err != nil {
			return err
		}
		return loader.Load(file)
	}
}

// declareLeaderElection accepts the chart's flags on leader election and ignores them.
func declareLeaderElection(flags *pflag.FlagSet) {
	const unused = "accepted and unused: one process of each component runs"
	flags.Bool("leader-elect", false, unused)
	flags.String("leader-election-namespace", "", unused)
	for _, name := range []string{"lease-duration", "renew-deadline", "retry-period"} {
		flags.Duration("leader-election-"+name, time.Minute, unused)
	}
}

// applyProcessWide sets what a process has once: feature gates and logging.
func applyProcessWide(gates map[string]bool, logging *logsapi.LoggingConfiguration) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return fmt.Errorf("feature gates: %w", err)
	}
	if err := logf.ValidateAndApply(logging); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	return nil
}

// requireLoopback refuses an address that other machines could reach. "0" means off and is accepted.
func requireLoopback(flag, address string) error {
	if address == "0" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--%s=%s: want host:port on loopback, such as 127.0.0.1:9402, or 0: %w", flag, address, err)
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--%s=%s: want a loopback address, such as 127.0.0.1", flag, address)
	}
	return nil
}
