package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// errNotReady is what a check returns until its component has started.
var errNotReady = errors.New("not ready")

// serveHealth answers /livez while the process runs, and /healthz and /readyz once ready returns nil. It returns when
// ctx ends. Address "0" turns it off.
func serveHealth(ctx context.Context, address string, ready func(context.Context) error) error {
	if address == "0" {
		<-ctx.Done()
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: healthHandler(ready), ReadHeaderTimeout: 8 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func healthHandler(ready func(context.Context) error) http.Handler {
	check := func(writer http.ResponseWriter, request *http.Request) {
		if err := ready(request.Context()); err != nil {
			http.Error(writer, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = writer.Write([]byte("ok"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", check)
	mux.HandleFunc("/readyz", check)
	mux.HandleFunc("/livez", func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte("ok")) })
	return mux
}
