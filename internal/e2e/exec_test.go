package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// moodyFlow runs moody.py; its result fans out, and is kept by version.
const moodyFlow = `flow: moody
sources: { page: { files: { root: docs } } }
nodes:
  words:
    op: exec
    in: '{"text": page.content, "path": page.path}'
    command: [%s, -B, moody.py]
    returns: [{ word: string, length: int }]
    version: "1"
    workers: 3
    batch: 8
    deadline: 3s
    memory: 256
    each: word
tables:
  words: { for: word, key: word.word, columns: { path: page.path, word: word.word, length: word.length } }
targets: { local: { sqlite: { path: out.db }, tables: [words] } }
`

// moody does what a page tells it to.
const moody = `import os, signal, time
import freshet

@freshet.operator(version="1", returns=[{"word": "string", "length": "int"}])
def words(page):
    text = page["text"]
    if "please leak" in text:
        everything = []
        while True:
            everything.append(bytearray(16 << 20))
    if "please sleep" in text:
        time.sleep(3600)
    if "please die" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "please print" in text:
        for fd in range(3, 10):
            try:
                os.write(fd, b"loading the model...\n")
            except OSError:
                pass
    if "please refuse" in text:
        raise freshet.Invalid("it says please")
    if "please lie" in text:
        return [{"word": 17, "length": "two"}]
    time.sleep(0.002)
    return [{"word": word, "length": len(word)} for word in sorted(set(text.split()))]

freshet.serve(words)
`

// newMoody is a project with moody.py and the Python package beside it.
func newMoody(t *testing.T) *project {
	p := newProject(t, fmt.Sprintf(moodyFlow, testenv.Python(t)))
	p.write("moody.py", moody)
	if err := os.CopyFS(filepath.Join(p.dir, "freshet"), os.DirFS("../../python/freshet")); err != nil {
		t.Fatal(err)
	}
	return p
}

// pages are what the files hold, by path.
type pages map[string]string

// expected are the table's rows by the files alone; pages that ask for trouble have none.
func (p pages) expected() (rows []string) {
	for path, text := range p {
		if strings.Contains(text, "please") {
			continue
		}
		for _, w := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(text)))) {
			rows = append(rows, fmt.Sprintf("_document=page/%s _key=%s length=%d path=%[1]s word=%[2]s ", path, w, len(w)))
		}
	}
	slices.Sort(rows)
	return rows
}

// children are the processes that a process started.
func (p *process) children() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path) // one that has ended is none
		_, rest, _ := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(rest))
		if err != nil || len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(p.cmd.Process.Pid) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// settled waits until the table is that of the pages.
func (p *process) settled(dir string, want pages) {
	p.t.Helper()
	var got []string
	rows := want.expected()
	p.until("the table is that of the pages", func(ctx context.Context) bool {
		var err error
		got, err = querySQLite(ctx, filepath.Join(dir, "out.db"), "words") // an error: the table is not there yet
		return err == nil && slices.Equal(got, rows)
	})
}

// listed waits until the documents of a status are those of these pages.
func (p *project) listed(d *process, status string, names ...string) {
	p.t.Helper()
	d.until(status+" documents are those that are to blame", func(context.Context) bool {
		list := start(p.t, p.dir, p.env, "documents", "list", "-f", "flow.yaml", "--json", status)
		list.exits(0)
		var got struct{ Documents []struct{ ID string } }
		if err := json.Unmarshal(list.stdout.Bytes(), &got); err != nil {
			p.t.Fatal(err)
		}
		return slices.EqualFunc(got.Documents, names, func(d struct{ ID string }, name string) bool { return d.ID == "page/"+name+".md" })
	})
}

// TestWorkersFail: workers are killed at random 50 times while pages change, and pages make others leak, sleep, die, print
// garbage, refuse and lie. Every other page is as it should be, meanwhile too; a page that is mended is as well; nothing is
// computed again.
func TestWorkersFail(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	p, all := newMoody(t), pages{}
	edit := func(path, text string) {
		all[path] = text
		p.write("docs/"+path, text)
	}
	for i := range 30 {
		edit(fmt.Sprintf("%d.md", i), fmt.Sprintf("herons fish at dawn says %d", i))
	}
	moods := []string{"leak", "sleep", "die", "print", "refuse", "lie"}
	for _, mood := range moods {
		edit(mood+".md", "please "+mood)
	}
	d := p.dev()
	d.settled(p.dir, all)

	edition := 0
	change := func() {
		edition++
		edit(fmt.Sprintf("%d.md", random.IntN(30)), fmt.Sprintf("edition %d of the river", edition))
	}
	for kills := 0; kills < 50; kills++ {
		if random.IntN(2) == 0 {
			d.settled(p.dir, all) // then workers are ready, else they may not be
		}
		change()
		d.until("a worker runs", func(context.Context) bool {
			workers := d.children()
			return len(workers) > 0 && syscall.Kill(workers[random.IntN(len(workers))], syscall.SIGKILL) == nil
		})
	}
	d.settled(p.dir, all)
	p.listed(d, "--pending", "die", "leak", "print", "sleep")
	p.listed(d, "--quarantined", "lie", "refuse")

	for _, mood := range moods {
		edit(mood+".md", "no more "+mood)
	}
	d.settled(p.dir, all)
	workers := d.children()
	d.stop()
	d.exits(0)
	for _, pid := range workers {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("worker %d outlives freshet", pid)
		}
	}

	r := p.devOnce()
	if n := r.Nodes["words"].Computed; n != 0 || r.Quarantined != 0 {
		t.Errorf("a second run computed %d and has %d quarantined, want none", n, r.Quarantined)
	}
	p.write("flow.yaml", strings.Replace(p.flow, `version: "1"`, `version: "2"`, 1))
	p.write("moody.py", strings.Replace(moody, `version="1"`, `version="2"`, 1))
	if r := p.devOnce(); r.Nodes["words"].Computed != len(all) {
		t.Errorf("another version computed %d, want all %d", r.Nodes["words"].Computed, len(all))
	}
	same(t, "rows", p.rows("words"), all.expected())
}
