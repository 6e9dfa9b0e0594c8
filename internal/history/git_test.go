package history_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/history"
)

// repo is a git repository that a test fills.
type repo struct {
	*testing.T
	dir     string
	commits int
}

func newRepo(t *testing.T) *repo {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is not installed")
		}
		t.Skip("git is not installed; install it to read histories of repositories")
	}
	r := &repo{T: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) {
	r.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	at := "1970-01-01T00:0" + string(rune('0'+r.commits)) + ":00+00:00"
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at,
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@localhost", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@localhost")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (r *repo) commit() {
	r.Helper()
	r.commits++
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
}

func TestGit(t *testing.T) {
	r := newRepo(t)
	write(t, filepath.Join(r.dir, "docs", "a.md"), "one")
	write(t, filepath.Join(r.dir, "main.go"), "package main")
	r.commit()
	write(t, filepath.Join(r.dir, "docs", "sub", "ä b\tc.md"), "\x00bytes")
	write(t, filepath.Join(r.dir, "docs", "empty.md"), "")
	if err := os.Symlink("a.md", filepath.Join(r.dir, "docs", "link.md")); err != nil {
		t.Fatal(err)
	}
	r.commit()
	r.git("checkout", "-q", "-b", "side")
	write(t, filepath.Join(r.dir, "docs", "side.md"), "draft")
	r.commit()
	write(t, filepath.Join(r.dir, "docs", "side.md"), "side")
	r.commit()
	r.git("checkout", "-q", "main")
	write(t, filepath.Join(r.dir, "main.go"), "package other")
	r.commit()
	r.commits++
	r.git("merge", "-q", "--no-ff", "-m", "x", "side")
	r.git("mv", "docs/a.md", "docs/moved.md")
	r.commit()
	if err := os.Remove(filepath.Join(r.dir, "docs", "empty.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("moved.md", filepath.Join(r.dir, "docs", "empty.md")); err != nil {
		t.Fatal(err)
	}
	r.commit()

	in, err := history.OpenGit(t.Context(), filepath.Join(r.dir, "docs"))
	if err != nil {
		t.Fatal(err)
	}
	want := "00:01:00 a.md=one\n" +
		"00:02:00 empty.md= sub/ä b\tc.md=\x00bytes\n" +
		"00:06:00 side.md=side\n" +
		"00:07:00 a.md gone moved.md=one\n" +
		"00:08:00 empty.md gone"
	if got := show(t, in); got != want {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
	if in, err = history.OpenGit(t.Context(), r.dir); err != nil {
		t.Fatal(err)
	}
	if got := show(t, in); !strings.Contains(got, "docs/moved.md=one") || !strings.Contains(got, "main.go=package other") {
		t.Errorf("the whole repository: %q", got)
	}
}

func TestNoGit(t *testing.T) {
	r := newRepo(t)
	in, err := history.OpenGit(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Next(); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("error %v", err)
	}
	_ = in.Close()
	write(t, filepath.Join(r.dir, "a.md"), "one")
	r.commit()
	if in, err = history.OpenGit(t.Context(), r.dir); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil { // before its end
		t.Error(err)
	}
}
