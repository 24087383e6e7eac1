// The state service of the embedded stack: the part of Pulumi Cloud's API that the CLI needs to keep stacks, on a
// loopback port and in files. What sets it apart from the file backend is the journal: the CLI sends what a step
// changed, and the whole checkpoint is written once, when the update ends.
//
// Pulumi documentation: "Pulumi Cloud REST API"; the client is pkg/backend/httpstate of the CLI's module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	listen := flag.String("listen", "", "loopback address and port to listen on")
	directory := flag.String("directory", "", "directory of the stacks' checkpoints, one subdirectory for each project")
	tokenFile := flag.String("token-file", "", "file that holds the token which clients must show")
	flag.Parse()
	if err := run(*listen, *directory, *tokenFile); err != nil {
		log.Fatal(err)
	}
}

func run(listen, directory, tokenFile string) error {
	if err := checkLoopback(listen); err != nil {
		return err
	}
	content, err := os.ReadFile(tokenFile)
	if err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return fmt.Errorf("--token-file: %s is empty", tokenFile)
	}
	server := &http.Server{Addr: listen, Handler: newAPI(newStore(directory), token)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--listen: %s is no loopback address", listen)
	}
	return nil
}
