package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// authorizer knows the token of the checkout, and gives each update a token of its own. That one is derived, so that an
// update goes on when the service is started again.
type authorizer struct{ token string }

func (a authorizer) updateToken(update string) string {
	code := hmac.New(sha256.New, []byte(a.token))
	code.Write([]byte(update))
	return hex.EncodeToString(code.Sum(nil))
}

// shows tells whether a request carries the token of that kind ("token" or "update-token").
func shows(r *http.Request, kind, wanted string) bool {
	found, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return found == kind && subtle.ConstantTimeCompare([]byte(token), []byte(wanted)) == 1
}

// checkout lets a request pass that shows the checkout's token.
func (a authorizer) checkout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !shows(r, "token", a.token) {
			refuse(w, r, unauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// update lets a request pass that shows the token of the update it is about.
func (a authorizer) update(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !shows(r, "update-token", a.updateToken(r.PathValue("update"))) {
			refuse(w, r, unauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
