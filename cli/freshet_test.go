package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/freshet-dev/freshet/control"
)

// asCommand makes the test binary be freshet.
const asCommand = "FRESHET_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		Main()
		return
	}
	os.Exit(m.Run())
}

// desk is a directory with a flow, where commands are run.
type desk struct {
	*testing.T
	dir, schemas string
}

const deskFlow = `flow: handbook
kafka: { partitions: 2 }
sources:
  page:
    files: { root: ./docs, include: ["**/*.md"], max_bytes: 1000 }
models:
  small: { provider: hash }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 64, overlap: 0, each: chunk }
  input:  { op: expr, in: 'body.title + "\n" + chunk.text' }
  vector: { op: embed, in: input, model: small }
tables:
  chunks:
    for: chunk
    where: 'int(body.meta.level.or("1")) > 0'
    key: chunk.id
    columns: { path: page.path, title: body.title, text: chunk.text, embedding: vector }
targets:
  local: { sqlite: { path: handbook.db }, tables: [chunks] }
`

func newDesk(t *testing.T) *desk {
	schemas, err := filepath.Abs("../schemas/cli")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t, t.TempDir(), schemas}
	t.Chdir(d.dir)
	d.write("flow.yaml", deskFlow)
	d.write("docs/install.md", "# Install\n\nRun the installer and wait.\n\n## Linux\n\nUse the package manager.\n")
	d.write("docs/guide/backup.md", "# Backups\n\nCopy the database every night.\n")
	return d
}

func (d *desk) write(path, content string) {
	d.Helper()
	path = filepath.Join(d.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		d.Fatal(err)
	}
}

// said is what a command printed and its exit code.
type said struct {
	out, err string
	code     int
}

func (d *desk) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		d.Fatal(err)
	}
	cmd := exec.CommandContext(d.Context(), self, args...)
	cmd.Dir, cmd.Env = d.dir, append(os.Environ(), asCommand+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a command on the flow.
func (d *desk) run(args ...string) said { return d.runWith("", args...) }

// runWith runs a command with an input: in this process, or those that take the data directory until they end in one of
// their own.
func (d *desk) runWith(input string, args ...string) said {
	d.Helper()
	var out, errs bytes.Buffer
	taking := slices.Contains([]string{"dev", "run", "rebuild", "reset", "verify", "plan", "explain"}, args[0])
	args = append(args, "-f", "flow.yaml")
	if !taking {
		root := newRoot(program{registry: registry()})
		root.SetArgs(args)
		root.SetOut(&out)
		root.SetErr(&errs)
		err := root.ExecuteContext(d.Context())
		if err == nil {
			return said{out.String(), errs.String(), exitDone}
		}
		return said{out.String(), errs.String() + err.Error(), exitCode(err)}
	}
	cmd := d.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		d.Fatal(err)
	}
	return said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// want runs a command and demands its exit code and texts in what it prints.
func (d *desk) want(code int, texts []string, args ...string) {
	d.Helper()
	s := d.run(args...)
	if s.code != code {
		d.Errorf("freshet %v: exit %d, want %d\n%s%s", args, s.code, code, s.out, s.err)
	}
	for _, text := range texts {
		if !strings.Contains(s.out+s.err, text) {
			d.Errorf("freshet %v does not say %q:\n%s%s", args, text, s.out, s.err)
		}
	}
}

// json runs a command with --json, checks what it prints against the published schema, and reads it.
func (d *desk) json(into any, schema string, args ...string) {
	d.Helper()
	s := d.run(append(args, "--json")...)
	if s.code != exitDone {
		d.Fatalf("freshet %v: exit %d\n%s%s", args, s.code, s.out, s.err)
	}
	if err := d.conforms(schema, s.out); err != nil {
		d.Errorf("freshet %v: %v\n%s", args, err, s.out)
	}
	if err := json.Unmarshal([]byte(s.out), into); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) conforms(schema, text string) error {
	c := jsonschema.NewCompiler()
	s, err := c.Compile(filepath.Join(d.schemas, schema+".schema.json"))
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// dev starts `freshet dev` and returns once it has caught up with so many documents.
func (d *desk) dev(documents int64) (stop, kill func()) {
	d.Helper()
	stop, kill = d.launch("dev")
	d.caughtUp(1, documents)
	return stop, kill
}

// launch starts a command that keeps running. stop ends it as a person would, kill at once.
func (d *desk) launch(args ...string) (stop, kill func()) {
	d.Helper()
	cmd := d.command(append(args, "-f", "flow.yaml")...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	end := func(how os.Signal) func() {
		return func() { _ = cmd.Process.Signal(how); <-ended }
	}
	d.Cleanup(func() {
		end(os.Kill)()
		if d.Failed() {
			d.Logf("freshet %v: %s", args, log.String())
		}
	})
	return end(os.Interrupt), end(os.Kill)
}

// caughtUp waits until so many processes run and hold so many documents, with nothing left to do.
func (d *desk) caughtUp(processes int, documents int64) {
	d.Helper()
	d.until("all has caught up", func() bool {
		s := d.overview()
		restoring := slices.ContainsFunc(s.Partitions, func(p control.Partition) bool { return p.State != "ready" })
		return len(s.Replicas) == processes && !restoring && s.Totals.Documents == documents && s.Totals.Pending == 0 &&
			is0(s.SourceLag) && is0(s.Targets[0].Lag)
	})
}

func is0(lag *int64) bool { return lag != nil && *lag == 0 }

// overview reads the status; the zero one while it can't be read.
func (d *desk) overview() (o overview) {
	s := d.run("status", "--json")
	if s.code != exitDone || json.Unmarshal([]byte(s.out), &o) != nil {
		return overview{}
	}
	return o
}

func (d *desk) until(what string, holds func() bool) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.Fatalf("never: %s; status says: %+v", what, d.run("status", "--json"))
		}
	}
}
