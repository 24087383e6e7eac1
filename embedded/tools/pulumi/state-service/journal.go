package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/snapshot"
)

// As long as the CLI asks for; it renews at half of it.
const leaseDuration = 5 * time.Minute

// journalHeader is the first line of a journal. Every further line is what one request brought: a list of entries.
type journalHeader struct {
	Update  string    `json:"update"`
	Kind    string    `json:"kind"`
	Started time.Time `json:"started"`
	// The digest of the checkpoint that the entries change. With another checkpoint they are part of it already: it was
	// written, and the service ended before it removed the journal.
	Base string `json:"base"`
}

// update is the one update of a stack that is under way, with its journal. It is as durable as the file system's cache:
// it survives the end of every process, and not the machine's.
type update struct {
	journalHeader
	path    string
	expires time.Time
	// The CLI sends a batch again when it got no answer, so one may arrive twice.
	seen map[int64]bool
}

func (s *store) begin(name stackName, id, kind string) (*update, error) {
	base, err := s.digest(name)
	if err != nil {
		return nil, err
	}
	begun := &update{
		journalHeader: journalHeader{Update: id, Kind: kind, Started: time.Now(), Base: base},
		path:          s.file(name, journalEnding),
		seen:          map[int64]bool{},
	}
	header, err := json.Marshal(begun.journalHeader)
	if err != nil {
		return nil, err
	}
	if err := writeFile(begun.path, append(header, '\n')); err != nil {
		return nil, err
	}
	begun.renew()
	s.updates[name] = begun
	return begun, nil
}

func (u *update) renew() { u.expires = time.Now().Add(leaseDuration) }

// append keeps the entries that are new, with one write.
func (u *update) append(entries []json.RawMessage) error {
	var fresh []json.RawMessage
	var numbers []int64
	for _, entry := range entries {
		var known struct {
			SequenceID int64 `json:"sequenceID"`
		}
		if err := json.Unmarshal(entry, &known); err != nil {
			return statusError{400, "Bad Request: " + err.Error()}
		}
		if !u.seen[known.SequenceID] {
			fresh, numbers = append(fresh, entry), append(numbers, known.SequenceID)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	line, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	if err := u.write(append(line, '\n')); err != nil {
		return err
	}
	for _, number := range numbers {
		u.seen[number] = true
	}
	return nil
}

func (u *update) write(line []byte) error {
	file, err := os.OpenFile(u.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	return errors.Join(err, file.Close())
}

// active returns the update of a stack that is under way, nil when there is none. After a start of the service it is
// taken up from its journal.
func (s *store) active(name stackName) (*update, error) {
	if known := s.updates[name]; known != nil {
		return known, nil
	}
	content, err := os.ReadFile(s.file(name, journalEnding))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &update{path: s.file(name, journalEnding), seen: map[int64]bool{}}
	lines := whole(content)
	base, err := s.digest(name)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 || json.Unmarshal(lines[0], &found.journalHeader) != nil || found.Base != base {
		log.Printf("%s: its journal is part of its checkpoint already", name.qualified())
		return nil, os.Remove(found.path)
	}
	entries, err := decode(lines[1:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", found.path, err)
	}
	for _, entry := range entries {
		found.seen[entry.SequenceID] = true
	}
	// The next line must not continue what a killed service left half-written.
	if err := os.Truncate(found.path, int64(bytes.LastIndexByte(content, '\n')+1)); err != nil {
		return nil, err
	}
	log.Printf("%s: goes on with %s, %d entries", name.qualified(), found.Update, len(entries))
	found.renew()
	s.updates[name] = found
	return found, nil
}

// whole returns the lines that end: the last one may be torn.
func whole(content []byte) [][]byte {
	lines := bytes.Split(content, []byte{'\n'})
	return lines[:len(lines)-1]
}

func decode(lines [][]byte) ([]apitype.JournalEntry, error) {
	var entries []apitype.JournalEntry
	for number, line := range lines {
		var batch []apitype.JournalEntry
		if err := json.Unmarshal(line, &batch); err != nil {
			return nil, fmt.Errorf("batch %d: %w", number+1, err)
		}
		entries = append(entries, batch...)
	}
	return entries, nil
}

func (s *store) digest(name stackName) (string, error) {
	content, err := os.ReadFile(s.file(name, checkpointEnding))
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), err
}

// current returns the state of a stack: its checkpoint, and what the update under way has changed so far.
func (s *store) current(name stackName) (apitype.TypedDeployment, error) {
	saved, err := s.saved(name)
	if err != nil {
		return saved, err
	}
	running, err := s.active(name)
	if err != nil || running == nil {
		return saved, err
	}
	content, err := os.ReadFile(running.path)
	if err != nil {
		return saved, err
	}
	entries, err := decode(whole(content)[1:])
	if err != nil || len(entries) == 0 {
		return saved, err
	}
	replayer := backend.NewJournalReplayer(saved.Deployment)
	for _, entry := range entries {
		if err := replayer.Add(entry); err != nil {
			return saved, err
		}
	}
	return replayer.GenerateDeployment()
}

// end makes what the update changed the stack's checkpoint.
func (s *store) end(name stackName) error {
	running, err := s.active(name)
	if err != nil || running == nil {
		return err
	}
	deployment, err := s.current(name)
	if err != nil {
		return err
	}
	// The CLI refuses such a state itself; this says which update made it.
	if err := snapshot.VerifyIntegrity(deployment.Deployment); err != nil {
		log.Printf("%s: %s leaves a broken state: %v", name.qualified(), running.Update, err)
	}
	if err := s.save(name, deployment); err != nil {
		return err
	}
	delete(s.updates, name)
	return os.Remove(running.path)
}
