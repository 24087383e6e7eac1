package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

const (
	journalVersion = 1
	previewKind    = "preview"
	importKind     = "import"
)

type updateHandlers struct {
	store *store
	auth  authorizer
}

// newUpdateID says in the update's id of which kind it is: what is only previewed needs no memory of it.
func newUpdateID(kind string) string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: crypto/rand documentation
	return kind + "-" + hex.EncodeToString(random)
}

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "-")
	return kind
}

func (h updateHandlers) create(kind string) handler {
	return func(r *http.Request) (any, error) {
		var request apitype.UpdateProgramRequest
		if err := read(r, &request); err != nil {
			return nil, err
		}
		return h.store.lockedStack(r, func(stackName) (any, error) {
			if request.Options.DryRun {
				return apitype.UpdateProgramResponse{UpdateID: newUpdateID(previewKind)}, nil
			}
			return apitype.UpdateProgramResponse{UpdateID: newUpdateID(kind)}, nil
		})
	}
}

func (h updateHandlers) start(r *http.Request) (any, error) {
	var request apitype.StartUpdateRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	id := r.PathValue("update")
	return h.store.lockedStack(r, func(name stackName) (any, error) {
		answer := apitype.StartUpdateResponse{
			Version: 1, Token: h.auth.updateToken(id), TokenExpiration: time.Now().Add(leaseDuration).Unix(),
		}
		if kindOf(id) == previewKind {
			return answer, nil
		}
		if err := h.store.refuseBesideUpdate(name); err != nil {
			return nil, err
		}
		if request.Tags != nil {
			if err := h.store.setTags(name, request.Tags); err != nil {
				return nil, err
			}
		}
		if request.JournalVersion >= journalVersion {
			answer.JournalVersion = journalVersion
		}
		log.Printf("%s: %s begins", name.qualified(), id)
		_, err := h.store.begin(name, id, kindOf(id))
		return answer, err
	})
}

// refuseBesideUpdate refuses what changes a stack during an update. One whose lease ran out is ended: nobody is there.
func (s *store) refuseBesideUpdate(name stackName) error {
	running, err := s.active(name)
	if err != nil || running == nil {
		return err
	}
	if time.Now().Before(running.expires) {
		return statusError{http.StatusConflict, fmt.Sprintf(
			"Conflict: %s of %s is under way since %s; `pulumi cancel` ends one that is not",
			running.Update, name.qualified(), running.Started.Format(time.TimeOnly))}
	}
	log.Printf("%s: the lease of %s ran out", name.qualified(), running.Update)
	return s.end(name)
}

// with does something with the running update of a request; one that was previewed has nothing to be done.
func (h updateHandlers) with(r *http.Request, code int, do func(stackName, *update) error) (any, error) {
	id := r.PathValue("update")
	if kindOf(id) == previewKind {
		return nil, nil
	}
	return h.store.lockedStack(r, func(name stackName) (any, error) {
		running, err := h.store.active(name)
		if err != nil {
			return nil, err
		}
		if running == nil || running.Update != id {
			return nil, statusError{code, fmt.Sprintf("%s: %s has ended", http.StatusText(code), id)}
		}
		return nil, do(name, running)
	})
}

func (h updateHandlers) renew(r *http.Request) (any, error) {
	id := r.PathValue("update")
	// 403 is what tells the CLI that it need not ask again.
	_, err := h.with(r, http.StatusForbidden, func(_ stackName, running *update) error {
		running.renew()
		return nil
	})
	expires := time.Now().Add(leaseDuration).Unix()
	return apitype.RenewUpdateLeaseResponse{Token: h.auth.updateToken(id), TokenExpiration: expires}, err
}

func (h updateHandlers) journal(r *http.Request) (any, error) {
	var request struct {
		Entries []json.RawMessage `json:"entries"`
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	return h.with(r, http.StatusConflict, func(_ stackName, running *update) error {
		return running.append(request.Entries)
	})
}

// checkpoint is for a client that keeps no journal: PULUMI_DISABLE_JOURNALING.
func (h updateHandlers) checkpoint(r *http.Request) (any, error) {
	var request apitype.PatchUpdateCheckpointRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	return h.replace(r, apitype.UntypedDeployment{
		Version: request.Version, Features: request.Features, Deployment: request.Deployment,
	})
}

func (h updateHandlers) checkpointVerbatim(r *http.Request) (any, error) {
	var request apitype.PatchUpdateVerbatimCheckpointRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	var given apitype.UntypedDeployment
	if err := json.Unmarshal(request.UntypedDeployment, &given); err != nil {
		return nil, statusError{http.StatusBadRequest, "Bad Request: " + err.Error()}
	}
	return h.replace(r, given)
}

func (h updateHandlers) replace(r *http.Request, given apitype.UntypedDeployment) (any, error) {
	return h.with(r, http.StatusConflict, func(name stackName, running *update) error {
		deployment, err := typed(r.Context(), &given)
		if err != nil {
			return err
		}
		if err := h.store.save(name, deployment); err != nil {
			return err
		}
		_, err = h.store.begin(name, running.Update, running.Kind)
		return err
	})
}

func (h updateHandlers) complete(r *http.Request) (any, error) {
	var request apitype.CompleteUpdateRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	answer, err := h.with(r, http.StatusConflict, func(name stackName, running *update) error {
		log.Printf("%s: %s ends: %s", name.qualified(), running.Update, request.Status)
		return h.store.end(name)
	})
	return answer, err
}

func (h updateHandlers) cancel(r *http.Request) (any, error) {
	return h.with(r, http.StatusConflict, func(name stackName, running *update) error {
		log.Printf("%s: %s is cancelled", name.qualified(), running.Update)
		return h.store.end(name)
	})
}

// dropEvents accepts what a console would show.
func (h updateHandlers) dropEvents(*http.Request) (any, error) { return nil, nil }

// status answers for `pulumi stack import`, which waits for it.
func (h updateHandlers) status(r *http.Request) (any, error) {
	id := r.PathValue("update")
	if kindOf(id) != importKind {
		return nil, statusError{http.StatusNotFound, "Not Found: events are not kept"}
	}
	return apitype.UpdateResults{Status: apitype.StatusSucceeded, Events: []apitype.UpdateEvent{}}, nil
}
