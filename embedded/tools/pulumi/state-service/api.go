package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// The one organization, by the name that the file backend gives it: it is part of each stack's full name.
const organization = "organization"

const (
	stackPath  = "/api/stacks/{organization}/{project}/{stack}"
	updatePath = stackPath + "/update/{update}"
)

// statusError is an answer that is no success.
type statusError struct {
	code    int
	message string
}

func (e statusError) Error() string { return e.message }

var unauthorized = statusError{http.StatusUnauthorized, "Unauthorized: the token is missing or wrong"}

// handler answers a request with what becomes JSON, or with an error.
type handler func(r *http.Request) (any, error)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	write(w, http.StatusOK, answer)
}

func newAPI(store *store, token string) http.Handler {
	auth := authorizer{token}
	stacks := stackHandlers{store}
	updates := updateHandlers{store, auth}
	mux := http.NewServeMux()
	forCheckout := map[string]handler{
		"GET /api/capabilities":                     capabilities,
		"GET /api/user":                             user,
		"GET /api/user/organizations/default":       defaultOrganization,
		"GET /api/user/stacks":                      stacks.list,
		"HEAD /api/stacks/{organization}/{project}": stacks.projectExists,
		"POST /api/stacks/{organization}/{project}": stacks.create,
		"GET " + stackPath:                          stacks.get,
		"DELETE " + stackPath:                       stacks.remove,
		"GET " + stackPath + "/export":              stacks.export,
		"POST " + stackPath + "/import":             stacks.replace,
		"PATCH " + stackPath + "/tags":              stacks.tag,
		"POST " + stackPath + "/preview":            updates.create("preview"),
		"POST " + stackPath + "/update":             updates.create("update"),
		"POST " + stackPath + "/refresh":            updates.create("refresh"),
		"POST " + stackPath + "/destroy":            updates.create("destroy"),
		"GET " + updatePath:                         updates.status,
		"POST " + updatePath:                        updates.start,
		"POST " + updatePath + "/cancel":            updates.cancel,
		// Every route beneath, so that an answer tells nobody without a token what there is.
		"/": unknown,
	}
	forUpdate := map[string]handler{
		"POST " + updatePath + "/renew_lease":         updates.renew,
		"POST " + updatePath + "/complete":            updates.complete,
		"POST " + updatePath + "/events/batch":        updates.dropEvents,
		"PATCH " + updatePath + "/checkpoint":         updates.checkpoint,
		"PATCH " + updatePath + "/checkpointverbatim": updates.checkpointVerbatim,
		"PATCH " + updatePath + "/journalentries":     updates.journal,
	}
	for pattern, answer := range forCheckout {
		mux.Handle(pattern, auth.checkout(answer))
	}
	for pattern, answer := range forUpdate {
		mux.Handle(pattern, auth.update(answer))
	}
	return mux
}

func unknown(r *http.Request) (any, error) {
	log.Printf("not implemented: %s %s", r.Method, r.URL.Path)
	return nil, statusError{
		http.StatusNotFound, fmt.Sprintf("the embedded state service does not implement %s %s", r.Method, r.URL.Path),
	}
}

func capabilities(*http.Request) (any, error) {
	return apitype.CapabilitiesResponse{Capabilities: []apitype.APICapabilityConfig{{
		Capability:    apitype.DeploymentSchemaVersion,
		Version:       1,
		Configuration: json.RawMessage(fmt.Sprintf(`{"version": %d}`, apitype.DeploymentSchemaVersionLatest)),
	}}}, nil
}

func user(*http.Request) (any, error) {
	return map[string]any{"githubLogin": organization, "organizations": []any{}}, nil
}

func defaultOrganization(*http.Request) (any, error) {
	return apitype.GetDefaultOrganizationResponse{GitHubLogin: organization}, nil
}

// read decodes the body of a request, which the CLI compresses when it may be large.
func read(r *http.Request, into any) error {
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			return statusError{http.StatusBadRequest, "Bad Request: " + err.Error()}
		}
		body = plain
	}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return statusError{http.StatusBadRequest, "Bad Request: " + err.Error()}
	}
	return nil
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var known statusError
	if !errors.As(err, &known) {
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		known = statusError{http.StatusInternalServerError, err.Error()}
	}
	write(w, known.code, apitype.ErrorResponse{Code: known.code, Message: known.message})
}

func write(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if answer == nil {
		answer = struct{}{}
	}
	_ = json.NewEncoder(w).Encode(answer)
}
