package main

import (
	"context"
	"net/http"

	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// What the CLI recognizes, to ask for --force.
var notEmpty = statusError{http.StatusBadRequest, "Bad Request: Stack still contains resources."}

type stackHandlers struct{ store *store }

func (h stackHandlers) list(r *http.Request) (any, error) {
	h.store.Lock()
	defer h.store.Unlock()
	project := r.URL.Query().Get("project")
	if project != "" && !legalName.MatchString(project) {
		return apitype.ListStacksResponse{}, nil
	}
	names, err := h.store.names(project)
	if err != nil {
		return nil, err
	}
	found := []apitype.StackSummary{}
	for _, name := range names {
		summary := apitype.StackSummary{OrgName: organization, ProjectName: name.project, StackName: name.stack}
		current, err := h.store.current(name)
		if err != nil {
			return nil, err
		}
		if count := len(current.Deployment.Resources); count > 0 {
			changed := current.Deployment.Manifest.Time.Unix()
			summary.ResourceCount, summary.LastUpdate = &count, &changed
		}
		found = append(found, summary)
	}
	return apitype.ListStacksResponse{Stacks: found}, nil
}

func (h stackHandlers) projectExists(r *http.Request) (any, error) {
	project := r.PathValue("project")
	if !legalName.MatchString(project) {
		return nil, statusError{http.StatusNotFound, "Not Found"}
	}
	if names, err := h.store.names(project); err != nil || len(names) > 0 {
		return nil, err
	}
	return nil, statusError{http.StatusNotFound, "Not Found: project " + project}
}

func (h stackHandlers) create(r *http.Request) (any, error) {
	var request apitype.CreateStackRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	r.SetPathValue("stack", request.StackName)
	return h.store.locked(r, func(name stackName) (any, error) {
		if h.store.exists(name) {
			return nil, statusError{http.StatusConflict, "Conflict: stack " + request.StackName + " already exists"}
		}
		deployment := apitype.TypedDeployment{Version: apitype.DeploymentSchemaVersionCurrent}
		if request.State != nil {
			given, err := typed(r.Context(), request.State)
			if err != nil {
				return nil, err
			}
			deployment = given
		}
		if err := h.store.save(name, deployment); err != nil {
			return nil, err
		}
		return nil, h.store.setTags(name, request.Tags)
	})
}

func (h stackHandlers) get(r *http.Request) (any, error) {
	return h.store.lockedStack(r, func(name stackName) (any, error) {
		answer := apitype.Stack{
			OrgName:     organization,
			ProjectName: name.project,
			StackName:   tokens.QName(name.stack),
			Tags:        h.store.tags(name),
		}
		running, err := h.store.active(name)
		if running != nil {
			answer.ActiveUpdate = running.Update
			answer.CurrentOperation = &apitype.OperationStatus{
				Kind: apitype.UpdateKind(running.Kind), Author: organization, Started: running.Started.Unix(),
			}
		}
		return answer, err
	})
}

func (h stackHandlers) remove(r *http.Request) (any, error) {
	return h.store.lockedStack(r, func(name stackName) (any, error) {
		if err := h.store.refuseBesideUpdate(name); err != nil {
			return nil, err
		}
		current, err := h.store.current(name)
		if err != nil {
			return nil, err
		}
		if r.URL.Query().Get("force") != "true" && len(current.Deployment.Resources) > 0 {
			return nil, notEmpty
		}
		return nil, h.store.remove(name)
	})
}

func (h stackHandlers) export(r *http.Request) (any, error) {
	return h.store.lockedStack(r, func(name stackName) (any, error) { return h.store.current(name) })
}

// replace is `pulumi stack import`: the CLI asks for the state of the update it is told, which has ended by then.
func (h stackHandlers) replace(r *http.Request) (any, error) {
	var given apitype.UntypedDeployment
	if err := read(r, &given); err != nil {
		return nil, err
	}
	return h.store.lockedStack(r, func(name stackName) (any, error) {
		if err := h.store.refuseBesideUpdate(name); err != nil {
			return nil, err
		}
		deployment, err := typed(r.Context(), &given)
		if err != nil {
			return nil, err
		}
		return apitype.ImportStackResponse{UpdateID: newUpdateID(importKind)}, h.store.save(name, deployment)
	})
}

func (h stackHandlers) tag(r *http.Request) (any, error) {
	var tags map[apitype.StackTagName]string
	if err := read(r, &tags); err != nil {
		return nil, err
	}
	return h.store.lockedStack(r, func(name stackName) (any, error) { return nil, h.store.setTags(name, tags) })
}

func typed(ctx context.Context, given *apitype.UntypedDeployment) (apitype.TypedDeployment, error) {
	deployment, err := stack.UnmarshalUntypedDeployment(ctx, given)
	if err != nil {
		return apitype.TypedDeployment{}, statusError{http.StatusBadRequest, "Bad Request: " + err.Error()}
	}
	return apitype.TypedDeployment{
		Version: max(given.Version, apitype.DeploymentSchemaVersionCurrent), Features: given.Features, Deployment: deployment,
	}, nil
}
