package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

const (
	checkpointEnding = ".json"
	tagsEnding       = ".pulumi-tags"
	journalEnding    = ".journal"
)

var legalName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

// stackName says which stack a request is about.
type stackName struct{ project, stack string }

func (n stackName) qualified() tokens.QName {
	return tokens.QName(organization + "/" + n.project + "/" + n.stack)
}

// store keeps stacks where the file backend keeps them, and as it does: a checkpoint and the tags, each a JSON file. The
// journal of an update that is under way lies beside them. One request at a time has it.
type store struct {
	sync.Mutex
	directory string
	updates   map[stackName]*update
}

func newStore(directory string) *store {
	return &store{directory: directory, updates: map[stackName]*update{}}
}

// named reads the stack of a request from its path.
func named(r *http.Request) (stackName, error) {
	name := stackName{r.PathValue("project"), r.PathValue("stack")}
	if owner := r.PathValue("organization"); owner != organization {
		return name, statusError{http.StatusNotFound, fmt.Sprintf("Not Found: there is one organization here, %s", organization)}
	}
	return name, name.check()
}

func (n stackName) check() error {
	for _, part := range []string{n.project, n.stack} {
		if !legalName.MatchString(part) {
			return statusError{http.StatusBadRequest, fmt.Sprintf("Bad Request: %q is no name of a project or stack", part)}
		}
	}
	return nil
}

func (s *store) file(name stackName, ending string) string {
	return filepath.Join(s.directory, name.project, name.stack+ending)
}

func (s *store) exists(name stackName) bool {
	_, err := os.Stat(s.file(name, checkpointEnding))
	return err == nil
}

// locked does something with the stack of a request, as the only one who has the store.
func (s *store) locked(r *http.Request, do func(stackName) (any, error)) (any, error) {
	name, err := named(r)
	if err != nil {
		return nil, err
	}
	s.Lock()
	defer s.Unlock()
	return do(name)
}

// lockedStack is locked, of a stack that exists.
func (s *store) lockedStack(r *http.Request, do func(stackName) (any, error)) (any, error) {
	return s.locked(r, func(name stackName) (any, error) {
		if !s.exists(name) {
			return nil, statusError{http.StatusNotFound, fmt.Sprintf("Not Found: stack %s", name.qualified())}
		}
		return do(name)
	})
}

// saved returns what the checkpoint holds; for a stack that was never updated, a deployment without resources.
func (s *store) saved(name stackName) (apitype.TypedDeployment, error) {
	content, err := os.ReadFile(s.file(name, checkpointEnding))
	if err != nil {
		return apitype.TypedDeployment{}, err
	}
	checkpoint, number, features, err := stack.UnmarshalVersionedCheckpointToLatestCheckpoint(encoding.JSON, content)
	if err != nil {
		return apitype.TypedDeployment{}, fmt.Errorf("%s: %w", s.file(name, checkpointEnding), err)
	}
	latest := checkpoint.Latest
	if latest == nil {
		manifest := deploy.Manifest{Time: time.Now(), Version: version.Version}
		manifest.Magic = manifest.NewMagic()
		latest = &apitype.DeploymentV3{Manifest: manifest.Serialize()}
	}
	return apitype.TypedDeployment{Version: number, Features: features, Deployment: latest}, nil
}

// save writes the checkpoint. It is the old one or the new one whenever somebody reads it.
func (s *store) save(name stackName, deployment apitype.TypedDeployment) error {
	checkpoint, err := stack.DeploymentV3ToCheckpoint(
		name.qualified(), deployment.Deployment, deployment.Version, deployment.Features)
	if err != nil {
		return err
	}
	// Without the file backend's indentation it is less than half as large, and each update reads and writes it whole.
	content := &bytes.Buffer{}
	encoder := json.NewEncoder(content)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(checkpoint); err != nil {
		return err
	}
	return writeFile(s.file(name, checkpointEnding), content.Bytes())
}

// writeFile replaces a file in one step, through one whose name no reader of the directory looks for.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), ".fresh-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.Write(content)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	return os.Rename(fresh.Name(), path)
}

func (s *store) tags(name stackName) map[apitype.StackTagName]string {
	var found struct {
		Tags map[apitype.StackTagName]string `json:"tags"`
	}
	content, err := os.ReadFile(s.file(name, tagsEnding))
	if err != nil || json.Unmarshal(content, &found) != nil {
		return nil
	}
	return found.Tags
}

func (s *store) setTags(name stackName, tags map[apitype.StackTagName]string) error {
	content, err := json.MarshalIndent(map[string]any{"version": 1, "tags": tags}, "", "    ")
	if err != nil {
		return err
	}
	return writeFile(s.file(name, tagsEnding), content)
}

func (s *store) remove(name stackName) error {
	for _, ending := range []string{journalEnding, tagsEnding, checkpointEnding} {
		if err := os.Remove(s.file(name, ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	delete(s.updates, name)
	return nil
}

// names lists the stacks of a project, or of all with "".
func (s *store) names(project string) ([]stackName, error) {
	if project == "" {
		project = "*"
	}
	files, err := filepath.Glob(filepath.Join(s.directory, project, "*"+checkpointEnding))
	if err != nil {
		return nil, err
	}
	var found []stackName
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), checkpointEnding)
		found = append(found, stackName{filepath.Base(filepath.Dir(file)), name})
	}
	return found, nil
}
