// Command cert-manager runs cert-manager's controller, webhook or cainjector as a process of the host, with the flags
// that the chart gives the containers of the same names and a few more that say where to listen.
//
// Upstream's own commands are modules that no proxy serves; this one wires the same packages. It leaves out leader
// election (there is one process of each) and listens on loopback only.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

type command func(ctx context.Context, args []string) error

var commands = map[string]command{
	"controller": runController,
	"webhook":    runWebhook,
	"cainjector": runCAInjector,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: cert-manager controller|webhook|cainjector [flags]")
		os.Exit(2)
	}
	name := os.Args[1]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	logf.InitLogs()
	defer logf.FlushLogs()
	ctrl.SetLogger(klog.NewKlogr())
	ctx = logr.NewContext(ctx, logf.Log.WithName(name))

	err := commands[name](ctx, os.Args[2:])
	if err != nil && !errors.Is(err, context.Canceled) {
		logf.FlushLogs()
		fmt.Fprintf(os.Stderr, "cert-manager %s: %v\n", name, err)
		os.Exit(1)
	}
}
