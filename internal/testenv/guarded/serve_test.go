package guarded_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// TestServerKilled kills the process while it is written: what it acknowledged is there, in the next process and the next.
func TestServerKilled(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.Command("go", "build", "-ldflags=-w", "-o", bin, "github.com/freshet-dev/freshet/internal/testenv/guarded/serve").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "dir", "store")
	written := 0
	for range 4 {
		server, client := serve(t, bin, file)
		if written == 0 {
			if err := client.Create(t.Context(), guard.Table{As: "rows"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := readable(t, client); got < written {
			t.Fatalf("%d rows after the kill, %d were acknowledged", got, written)
		}
		written = readable(t, client)
		enough, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for n := 1; put(t, client, written) == nil; n++ {
				written++
				if n == 20 {
					close(enough)
				}
			}
		}()
		select {
		case <-enough:
		case <-done:
			t.Fatal("the server does not take rows")
		}
		_ = server.Process.Kill()
		_ = server.Wait()
		<-done
	}
}

func serve(t *testing.T, bin, file string) (*exec.Cmd, *guarded.Client) {
	t.Helper()
	cmd := exec.Command(bin, file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, guarded.Dial(strings.TrimSpace(url))
}

func put(t *testing.T, c *guarded.Client, n int) error {
	return c.Put(t.Context(), "rows", []guard.Item{{RowWrite: stream.RowWrite{RowID: stream.RowID{Document: fmt.Sprint(n)}}}})
}

func readable(t *testing.T, c *guarded.Client) int {
	t.Helper()
	n := 0
	if err := c.Read(t.Context(), "rows", func(guard.Item) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
