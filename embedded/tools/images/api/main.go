// The sample's application: it logs in to its database and its cache with what its files say, on each request anew, as
// a program does that picks up a rotated secret.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	patience = 5 * time.Second
	columns  = "(at timestamptz NOT NULL DEFAULT now(), caller text NOT NULL)"
)

// What the application is told: where its files are, and where it connects to.
var (
	databaseFile = environment("DATABASE_FILE", "/vault/secrets/database")
	cacheFile    = environment("CACHE_FILE", "/vault/secrets/cache")
	cacheAddress = environment("CACHE_ADDRESS", "redis:6379")
	database     = environment("DATABASE", "postgres")
	table        = pgx.Identifier(strings.Split(environment("TABLE", "visits"), ".")).Sanitize()
	listen       = environment("LISTEN", ":8080")
)

func main() {
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") })
	http.HandleFunc("/", visit)
	server := &http.Server{Addr: listen, ReadHeaderTimeout: patience}
	log.Fatal(server.ListenAndServe())
}

// visit writes a row to the database, adds one to a number in the cache, and answers with both.
func visit(answer http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), patience)
	defer cancel()
	said := map[string]any{}
	user, rows, err := writeRow(ctx, request.Header.Get("X-Forwarded-Client-Cert"))
	said["database"] = outcome(map[string]any{"user": user, "rows": rows}, err)
	visits, cacheErr := count(ctx)
	said["cache"] = outcome(map[string]any{"visits": visits}, cacheErr)
	answer.Header().Set("Content-Type", "application/json")
	if err != nil || cacheErr != nil {
		answer.WriteHeader(http.StatusBadGateway)
	}
	_ = json.NewEncoder(answer).Encode(said)
}

func outcome(found map[string]any, err error) any {
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return found
}

func writeRow(ctx context.Context, caller string) (string, int, error) {
	values, err := fields(databaseFile)
	if err != nil {
		return "", 0, err
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s dbname=%s sslmode=disable", values["DB_HOST"], database))
	if err != nil {
		return "", 0, err
	}
	config.User, config.Password = values["DB_USER"], values["DB_PASS"]
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return config.User, 0, err
	}
	defer connection.Close(ctx)
	there := false
	if err := connection.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		return config.User, 0, err
	}
	if !there {
		// Not for a user who may only write in a table that is there.
		if _, err := connection.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+table+columns); err != nil {
			return config.User, 0, err
		}
	}
	if _, err := connection.Exec(ctx, "INSERT INTO "+table+" (caller) VALUES ($1)", caller); err != nil {
		return config.User, 0, err
	}
	rows := 0
	err = connection.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&rows)
	return config.User, rows, err
}

// count speaks the protocol of Redis (https://redis.io/docs/latest/develop/reference/protocol-spec/).
func count(ctx context.Context) (string, error) {
	content, err := os.ReadFile(cacheFile)
	if err != nil {
		return "", err
	}
	password := strings.TrimSpace(string(content))
	if _, after, found := strings.Cut(password, "="); found {
		password = after
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", cacheAddress)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline)
	}
	reader := bufio.NewReader(connection)
	if _, err := command(connection, reader, "AUTH", password); err != nil {
		return "", err
	}
	return command(connection, reader, "INCR", "visits")
}

func command(connection net.Conn, reader *bufio.Reader, words ...string) (string, error) {
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := connection.Write([]byte(text)); err != nil {
		return "", err
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "-") {
		return "", fmt.Errorf("%s: %s", words[0], line[1:])
	}
	return line[1:], nil
}

// fields reads the lines KEY=value of a file.
func fields(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, line := range strings.Split(string(content), "\n") {
		if key, value, found := strings.Cut(line, "="); found {
			values[strings.TrimSpace(key)] = value
		}
	}
	return values, nil
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
