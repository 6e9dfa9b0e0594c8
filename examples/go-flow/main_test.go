package main

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/cli"
	"github.com/freshet-dev/freshet/operators/optest"
	"github.com/freshet-dev/freshet/stream"
)

// asCommand makes the test binary be the program: "2" with version 2 of the operator.
const asCommand = "GO_FLOW_TEST_VERSION"

func TestMain(m *testing.M) {
	switch os.Getenv(asCommand) {
	case "1":
		main()
	case "2":
		raised := leadSpec()
		raised.Version = 2
		cli.Main(cli.WithOperator(raised), cli.WithFlow(notes()))
	default:
		os.Exit(m.Run())
	}
}

// TestLead: whoever changes what the operator gives raises its version.
func TestLead(t *testing.T) {
	optest.Golden(t, leadSpec(), []optest.Case{
		{Name: "short", Input: stream.StringOf("Herons fish.")},
		{Name: "cut", Input: stream.StringOf("Herons\n\nfish at dawn."), Settings: []stream.Entry{{Key: "words", Value: stream.IntOf(2)}}},
		{Name: "empty", Input: stream.StringOf("")},
	})
}

// TestProgram: the program runs its flow; a result is computed once for each version of the operator.
func TestProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "notes/a.md", "# Herons\n\nThey fish at dawn, and stand still for hours.\n")
	run := func(version string, args ...string) string {
		t.Helper()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Env = append(os.Environ(), asCommand+"="+version)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	says := func(out, want string) {
		t.Helper()
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	says(run("1", "validate"), "flow notes is valid")
	says(run("1", "dev", "--once"), "node begins 1 computed 0 reused")
	write(t, "notes/a.md", "---\ntitle: Grey herons\n---\n# Herons\n\nThey fish at dawn, and stand still for hours.\n")
	says(run("1", "dev", "--once"), "node begins 0 computed 1 reused")
	says(run("2", "dev", "--once"), "node begins 1 computed 0 reused")
	says(run("2", "explain", "local", "a.md"), "node begins (lead, version 2); when the row was written: lead, version 1 in # Herons")

	db, err := sql.Open("sqlite", "notes.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var path, begins string
	if err := db.QueryRow("select path, begins from notes where title = 'Grey herons'").Scan(&path, &begins); err != nil || path != "a.md" ||
		begins != "# Herons They fish at dawn," {
		t.Errorf("got %q, %q, %v", path, begins, err)
	}
}

// TestExport: what it prints is the flow as a file has it, and as the README shows it.
func TestExport(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	export := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), self, append([]string{"export"}, args...)...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	built := export()
	path := filepath.Join(t.TempDir(), "flow.yaml")
	write(t, path, string(built))
	if again := export("-f", path); !bytes.Equal(again, built) {
		t.Errorf("got\n%s\nthen\n%s", built, again)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil || !bytes.Contains(readme, built) {
		t.Errorf("README.md does not show (%v)\n%s", err, built)
	}
}

// TestLength: the README says that it is short.
func TestLength(t *testing.T) {
	const most = 60
	b, err := os.ReadFile("main.go")
	if lines := bytes.Count(b, []byte("\n")); err != nil || lines >= most {
		t.Errorf("%d lines, %v", lines, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
