package powerloss

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
)

// cuts is how many power losses one test makes; FRESHET_POWERLOSS says another number.
func cuts(t *testing.T) int {
	text := os.Getenv("FRESHET_POWERLOSS")
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("FRESHET_POWERLOSS=%s is no number of cuts", text)
	}
	return n
}

// tally is what the cuts led to.
type tally struct {
	cuts, events, unsynced int
	refused, by            [losses]int
}

// TestPowerLoss cuts the power at every n-th sync of a store that applies batch after batch, each time with another loss
// of what was not synced, in the middle of writes too. Later runs go on from a directory that a cut left.
func TestPowerLoss(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("FRESHET_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	bin := instrumented(t)
	sum := &tally{}
	dir := filepath.Join(t.TempDir(), "store")
	for n := 0; sum.cuts < cuts(t) && !t.Failed(); n++ {
		r := &run{t: t, random: rand.New(rand.NewPCG(seed, uint64(n))), dir: dir, sum: sum, most: cuts(t), load: n%2 == 0}
		r.play(bin)
		if dir = r.survivor; dir == "" || n%3 == 2 {
			dir = filepath.Join(t.TempDir(), "store")
		}
	}
	t.Logf("%d power losses at %d syncs, %d unsynced pages and names decided about", sum.cuts, sum.events, sum.unsynced)
	for l := range losses {
		t.Logf("%s: %d, of which %d refused as damaged", l, sum.by[l], sum.refused[l])
	}
	if sum.refused[allKept] > 0 {
		t.Error("a killed process, whose pages all stay, left a damaged store")
	}
	if sum.unsynced == 0 || sum.by[allBy] == 0 {
		t.Error("nothing was unsynced at any cut: the test says nothing")
	}
}

// run is one life of the child.
type run struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	sum    *tally
	most   int

	mu             sync.Mutex // the child says things on two pipes
	disk           *disk
	begun, applied int64
	events         int
	load           bool   // an empty store is loaded in bulk first
	loading        bool   // the marker of a load is durable
	survivor       string // the last directory that a cut left and that opened, as it is after the replay
}

// play runs the child to its end, cutting as it goes.
func (r *run) play(bin string) {
	r.t.Helper()
	r.begun = checkpointOf(r.t, r.dir)
	r.applied = r.begun
	var err error
	if r.disk, err = newDisk(filepath.Join(r.dir, "data")); err != nil {
		r.t.Fatal(err)
	}
	defer r.disk.close()
	cmd := exec.CommandContext(r.t.Context(), bin)
	cmd.Env = append(os.Environ(), childDir+"="+r.dir)
	if r.load {
		cmd.Env = append(cmd.Env, childLoad+"=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, answer := pipes(r.t, cmd)
	var told strings.Builder
	cmd.Stderr = &told
	out, err1 := cmd.StdoutPipe()
	in, err2 := cmd.StdinPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		r.t.Fatal(err)
	}
	closeAll(cmd.ExtraFiles)
	var group sync.WaitGroup
	group.Go(func() { r.listen(said, answer, r.sync) })
	group.Go(func() { r.listen(out, in, r.progress) })
	group.Wait()
	if err := cmd.Wait(); err != nil && !r.t.Failed() {
		r.t.Errorf("the child: %v\n%s", err, told.String())
	}
}

// pipes are two more files of the child: one that it says syncs on, one with the answers.
func pipes(t *testing.T, cmd *exec.Cmd) (said io.Reader, answer io.Writer) {
	t.Helper()
	r1, w1, err1 := os.Pipe()
	r2, w2, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll([]*os.File{r1, w2}) })
	cmd.ExtraFiles = []*os.File{w1, r2}
	return r1, w2
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // pipes
	}
}

// listen answers each line after it was dealt with; the child goes on then.
func (r *run) listen(from io.Reader, to io.Writer, heard func(line string) error) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		r.mu.Lock()
		err := heard(lines.Text())
		r.mu.Unlock()
		if err != nil {
			r.t.Error(err)
		}
		_, _ = to.Write([]byte{'\n'}) // the child may have ended
	}
}

func (r *run) progress(line string) error {
	what, n, _ := strings.Cut(line, " ")
	number, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return nil // what the test binary says for itself
	}
	if what == "begin" {
		r.begun = number
		return nil
	}
	r.applied = number
	return r.maybeCut()
}

// sync is told before it happens: until it has happened, all since the last one is at stake.
func (r *run) sync(path string) error {
	if err := r.maybeCut(); err != nil {
		return err
	}
	r.disk.synced(path)
	if filepath.Clean(path) == r.dir {
		r.loading = r.marked()
	}
	return nil
}

// marker is the name of the file that says that a load is under way; it lies beside the data.
const marker = "loading"

func (r *run) marked() bool {
	_, err := os.Stat(filepath.Join(r.dir, marker))
	return err == nil
}

func (r *run) maybeCut() error {
	if err := r.disk.look(); err != nil {
		return err
	}
	r.events++
	r.sum.events++
	if r.events%7 != 0 || r.sum.cuts >= r.most || r.t.Failed() {
		return nil
	}
	l := loss(r.sum.cuts) % losses
	r.sum.cuts++
	r.sum.by[l]++
	r.sum.unsynced += r.disk.unsynced()
	place := fmt.Sprintf("cut %d, %s, batch %d of %d applied", r.sum.cuts, l, r.applied, r.begun)
	image := filepath.Join(r.t.TempDir(), fmt.Sprint("cut-", r.sum.cuts))
	if err := errors.Join(r.disk.cut(filepath.Join(image, "data"), l, r.random), copyFile(r.dir, image, "identity.json")); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	if marked := r.marked(); marked && r.loading || marked != r.loading && r.random.IntN(2) == 0 {
		if err := os.WriteFile(filepath.Join(image, marker), nil, 0o644); err != nil {
			return err
		}
	}
	if err := r.check(image, l); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	return nil
}

func copyFile(from, to, name string) error {
	b, err := os.ReadFile(filepath.Join(from, name))
	return errors.Join(err, os.WriteFile(filepath.Join(to, name), b, 0o644))
}

// check opens what the disk holds. It is refused as damaged, so that a restore begins anew, or it has the checkpoint of the
// last Apply that had returned, or of the next one, from which the changelog leads to the committed state.
func (r *run) check(image string, l loss) error {
	s, err := statestore.Open(image, identity, slog.New(slog.DiscardHandler))
	if err != nil {
		if stream.KindOf(err) != stream.Internal {
			return fmt.Errorf("it is refused, but not as damaged: %w", err)
		}
		r.sum.refused[l]++
		return statestore.Wipe(image)
	}
	r.survivor = image
	err = r.replay(s)
	return errors.Join(err, s.Close())
}

func (r *run) replay(s *statestore.Store) error {
	c, _, err := s.Checkpoint()
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	if c.Applied > r.begun {
		return fmt.Errorf("the checkpoint says %d", c.Applied)
	}
	if c.Applied < r.applied {
		return fmt.Errorf("the checkpoint says %d: an Apply had returned and is lost", c.Applied)
	}
	for n := c.Applied + 1; n <= r.begun; n++ {
		if err := s.Apply(batch(n), statestore.Checkpoint{Applied: n}); err != nil {
			return fmt.Errorf("replay from checkpoint %d: %w", c.Applied, err)
		}
	}
	if err := compare(s, stateAfter(r.begun)); err != nil {
		return fmt.Errorf("from checkpoint %d: %w", c.Applied, err)
	}
	return nil
}

// compare holds the whole state against the model.
func compare(s *statestore.Store, want map[string]string) error {
	found := 0
	err := s.Scan(nil, nil, func(key, value []byte) (bool, error) {
		found++
		if v, ok := want[string(key)]; !ok || v != string(value) {
			return false, fmt.Errorf("key %s has %d bytes that are not the model's (%d bytes, there %t)", key, len(value), len(v), ok)
		}
		return true, nil
	})
	if err == nil && found != len(want) {
		err = fmt.Errorf("%d keys, the model has %d", found, len(want))
	}
	return err
}

// checkpointOf opens a directory, wiping one that is damaged, and says where it is.
func checkpointOf(t *testing.T, dir string) int64 {
	t.Helper()
	s, err := statestore.Open(dir, identity, slog.New(slog.DiscardHandler))
	if err != nil && stream.KindOf(err) == stream.Internal {
		if err = statestore.Wipe(dir); err == nil {
			s, err = statestore.Open(dir, identity, slog.New(slog.DiscardHandler))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := s.Checkpoint()
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return c.Applied
}
