package exec_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/operators/exec"
	"github.com/freshet-dev/freshet/stream"
)

// TestMain is also the worker: the test binary, with -worker as its only argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-worker" {
		work(os.Args[2])
		return
	}
	goleak.VerifyTestMain(m)
}

// work answers with each text in upper case, and what it is told to do by a text.
func work(version string) {
	lines := bufio.NewReader(os.Stdin)
	if version == "dumb" {
		fmt.Fprintln(os.Stderr, "ModuleNotFoundError: no module named 'torch'")
		os.Exit(3)
	}
	hello, _ := lines.ReadBytes('\n')
	var told struct{ Settings map[string]any }
	_ = json.Unmarshal(hello, &told)
	fmt.Printf(`{"freshet":1,"version":%q}`+"\n", version)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if file, ok := told.Settings["farewell"].(string); ok {
				_ = os.WriteFile(file, []byte("bye"), 0o600)
			}
			return
		}
		var request struct {
			ID    int
			Items []string
		}
		_ = json.Unmarshal(line, &request)
		var results []string
		for _, text := range request.Items {
			results = append(results, result(text))
		}
		fmt.Printf(`{"id":%d,"results":[%s]}`+"\n", request.ID, strings.Join(results, ","))
	}
}

func result(text string) string {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "die":
		fmt.Fprintln(os.Stderr, "out of "+rest)
		os.Exit(7)
	case "hang":
		<-time.After(time.Hour) // for ever, but no deadlock that the runtime would end
	case "print":
		fmt.Println("loading model...")
	case "shout":
		fmt.Print(strings.Repeat("x", 65<<20))
	case "eat":
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 16<<20))
			_ = all
		}
	case "env":
		return fmt.Sprintf(`{"value":%q}`, os.Getenv(rest))
	case "say":
		fmt.Fprintln(os.Stderr, "the key is "+os.Getenv("KEY"), strings.Repeat("y", 5000))
	case "pid":
		return fmt.Sprintf(`{"value":"%d"}`, os.Getpid())
	case "wrong":
		return `{"value":17}`
	case "refuse":
		return `{"error":{"kind":"invalid","message":"no ` + os.Getenv("KEY") + `"}}`
	case "wait":
		return `{"error":{"kind":"throttled","message":"slowly","retry_after":2.5}}`
	case "nothing":
		return `{}`
	}
	return fmt.Sprintf(`{"value":%q}`, strings.ToUpper(text))
}

func entry(name string, v stream.Value) stream.Entry { return stream.Entry{Key: name, Value: v} }

func strs(s ...string) stream.Value {
	out := make([]stream.Value, len(s))
	for i := range s {
		out[i] = stream.StringOf(s[i])
	}
	return stream.ListOf(out...)
}

func settings(more ...stream.Entry) stream.Settings {
	all := append([]stream.Entry{
		entry("command", strs(os.Args[0], "-worker", "1")), entry("version", stream.StringOf("1")), entry("returns", stream.StringOf("string")),
		entry("workers", stream.IntOf(2)), entry("batch", stream.IntOf(8)), entry("deadline", stream.IntOf(int64(time.Minute))),
		entry("startup", stream.IntOf(int64(time.Minute))),
	}, more...)
	return stream.Settings{Values: stream.MapOf(all...), Types: map[string]stream.Type{"returns": stream.TypeString}, Dir: "."}
}

func open(t *testing.T, s stream.Settings) stream.Operator {
	t.Helper()
	op, err := exec.Spec().New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, op) })
	return op
}

func closeIt(t *testing.T, op stream.Operator) {
	t.Helper()
	if err := op.(interface{ Close() error }).Close(); err != nil {
		t.Error(err)
	}
}

func texts(s ...string) []stream.Value {
	out := make([]stream.Value, len(s))
	for i := range s {
		out[i] = stream.StringOf(s[i])
	}
	return out
}

func apply(t *testing.T, op stream.Operator, s ...string) []string {
	t.Helper()
	out, err := op.Apply(t.Context(), texts(s...))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range out {
		got = append(got, v.Str())
	}
	return got
}

// suspect demands a failure that the engine looks for among the inputs.
func suspect(t *testing.T, err error, words ...string) {
	t.Helper()
	var e *stream.Error
	if !errors.As(err, &e) || e.Kind != stream.Transient || !e.Suspect {
		t.Fatalf("%v, want a transient failure that an input may have caused", err)
	}
	says(t, err, words...)
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
}

func TestWorkersAreKept(t *testing.T) {
	op := open(t, settings())
	if got := fmt.Sprint(apply(t, op, "a", "b")); got != "[A B]" {
		t.Error(got)
	}
	if first, second := apply(t, op, "pid"), apply(t, op, "pid"); first[0] != second[0] {
		t.Errorf("workers %s and %s, want one", first, second)
	}
}

// Whatever a worker does to a request, the inputs are told apart from failures of the program, and the next request is
// answered.
func TestWorkersThatFail(t *testing.T) {
	op := open(t, settings())
	for input, words := range map[string][]string{
		"die memory": {"exit status 7", "out of memory"},
		"print":      {"no answer of the protocol", "loading model..."},
		"shout":      {"64 MiB"},
		"nothing":    {"neither a value nor an error"},
	} {
		_, err := op.Apply(t.Context(), texts("a", input))
		suspect(t, err, words...)
		if got := fmt.Sprint(apply(t, op, "a")); got != "[A]" {
			t.Errorf("after %q: %s", input, got)
		}
	}
}

func TestDeadline(t *testing.T) {
	op := open(t, settings(entry("deadline", stream.IntOf(int64(100*time.Millisecond)))))
	_, err := op.Apply(t.Context(), texts("hang"))
	suspect(t, err, "100ms")
}

func TestMemoryLimit(t *testing.T) {
	op := open(t, settings(entry("memory", stream.IntOf(2048)))) // Go itself reserves some of the address space
	_, err := op.Apply(t.Context(), texts("eat"))
	suspect(t, err, "2048 MiB")
}

// Elements fail by themselves, and spoil no others.
func TestElementsFail(t *testing.T) {
	t.Setenv("FRESHET_TEST_KEY", "very-secret")
	op := open(t, settings(entry("env", stream.MapOf(entry("KEY", stream.StringOf("env:FRESHET_TEST_KEY"))))))
	out, err := op.Apply(t.Context(), append(texts("a", "wrong", "refuse", "wait"), stream.StringOf("\xff"), stream.StringOf("b")))
	var some *stream.BatchError
	if !errors.As(err, &some) || len(some.Failed) != 4 || out[0].Str() != "A" || out[5].Str() != "B" {
		t.Fatal(out, err)
	}
	for i, kind := range map[int]stream.ErrorKind{1: stream.Invalid, 2: stream.Invalid, 3: stream.Throttled, 4: stream.Invalid} {
		if stream.KindOf(some.Failed[i]) != kind {
			t.Errorf("input %d: %v, want %s", i, some.Failed[i], kind)
		}
	}
	says(t, some.Failed[1], "it is a number, and declared string")
	says(t, some.Failed[2], "no «hidden»")
	var e *stream.Error
	if !errors.As(some.Failed[3], &e) || e.RetryAfter != 2500*time.Millisecond {
		t.Errorf("%+v", some.Failed[3])
	}
}

// Only what is declared is in the environment; it is read for each new worker.
func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	t.Setenv("FRESHET_TEST_OTHER", "other")
	op := open(t, settings(entry("env", stream.MapOf(entry("KEY", stream.StringOf("file:"+file))))))
	if got := fmt.Sprintf("%q", apply(t, op, "env KEY", "env FRESHET_TEST_OTHER")); got != `["old" ""]` {
		t.Error(got)
	}
	write("new")
	_, err := op.Apply(t.Context(), texts("die"))
	suspect(t, err)
	if got := apply(t, op, "env KEY"); got[0] != "new" {
		t.Error(got)
	}
}

// What a worker writes to its standard error is logged, in short lines, without secrets.
func TestLog(t *testing.T) {
	t.Setenv("FRESHET_TEST_KEY", "very-secret")
	var log lockedBuffer
	s := settings(entry("env", stream.MapOf(entry("KEY", stream.StringOf("env:FRESHET_TEST_KEY")))))
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	op := open(t, s)
	apply(t, op, "say")
	closeIt(t, op) // then all of it was read
	if text := log.String(); !strings.Contains(text, "the key is «hidden»") || len(text) > 1500 {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// What never gets ready is no input's fault.
func TestWorkersThatDoNotGetReady(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		kind    stream.ErrorKind
		says    string
	}{
		"another version": {[]string{os.Args[0], "-worker", "2"}, stream.Usage, `it has version "2", the flow file version "1"`},
		"dies":            {[]string{os.Args[0], "-worker", "dumb"}, stream.Transient, "no module named 'torch'"},
		"another program": {[]string{"echo", "hello"}, stream.Transient, "its first line is no hello"},
		"no program":      {[]string{"./there-is-none"}, stream.Usage, "check command"},
		"not in the path": {[]string{"freshet-there-is-none"}, stream.Usage, "check command"},
	} {
		op := open(t, settings(entry("command", strs(c.command...))))
		_, err := op.Apply(t.Context(), texts("a"))
		var e *stream.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Suspect {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
			continue
		}
		says(t, err, c.says)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, e := range map[string]stream.Entry{
		"command": entry("command", strs()), "version": entry("version", stream.StringOf("")), "deadline": entry("deadline", stream.IntOf(0)),
		"startup": entry("startup", stream.IntOf(0)),
	} {
		if _, err := exec.Spec().New(settings(e)); err == nil || stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nodes of equal settings share their workers, which end with the last of them: their input ends, and they may say goodbye.
func TestSharedWorkers(t *testing.T) {
	farewell := filepath.Join(t.TempDir(), "farewell")
	spec := exec.Spec()
	s := settings(entry("workers", stream.IntOf(1)), entry("settings", stream.MapOf(entry("farewell", stream.StringOf(farewell)))))
	var ops []stream.Operator
	for range 2 {
		op, err := spec.New(s)
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	first, second := apply(t, ops[0], "pid"), apply(t, ops[1], "pid")
	if first[0] != second[0] {
		t.Errorf("workers %s and %s, want one", first, second)
	}
	closeIt(t, ops[0])
	closeIt(t, ops[0])
	if again := apply(t, ops[1], "pid"); again[0] != first[0] {
		t.Error("the worker ended while a node needs it")
	}
	closeIt(t, ops[1])
	if _, err := os.Stat(farewell); err != nil {
		t.Error("the worker did not end by itself:", err)
	}
	pid, _ := strconv.Atoi(first[0])
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v, want none", pid, err)
	}
}

// A request that nobody waits for any more ends its worker at once, with all that it started.
func TestContextEnds(t *testing.T) {
	dir := t.TempDir()
	script := "read hello; echo '{\"freshet\":1,\"version\":\"1\"}'; sleep 1000 & echo $! >pid~; mv pid~ pid; wait"
	s := settings(entry("command", strs("sh", "-c", script)))
	s.Dir = dir
	op := open(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil {
				cancel()
			}
			<-time.After(time.Millisecond)
		}
	}()
	if _, err := op.Apply(ctx, texts("a")); !errors.Is(err, context.Canceled) || stream.KindOf(err) != stream.Transient {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, strings.TrimSpace(string(text)))
}

// gone waits until a process that is not our child has ended; one that nobody reaps is a zombie.
func gone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s still runs: %s", pid, stat)
		}
	}
}

// However many requests there are, there are no more workers than declared.
func TestConcurrency(t *testing.T) {
	op := open(t, settings())
	if n := op.(stream.Concurrent).Concurrency(); n != 2 {
		t.Errorf("%d at a time, want 2", n)
	}
	var mu sync.Mutex
	workers := map[string]bool{}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			out, err := op.Apply(t.Context(), texts("pid"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			workers[out[0].Str()] = true
		})
	}
	group.Wait()
	if len(workers) > 2 {
		t.Errorf("%d workers, want at most 2", len(workers))
	}
}
