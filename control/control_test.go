package control_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf holds stores in memory.
type shelf map[int32]*statestore.Memory

func (s shelf) Held() []int32 { return []int32{0, 1} }

func (s shelf) Store(p int32) (engine.Store, func(), bool) {
	release, ok := s[p].Pin()
	return s[p], release, ok
}

func newShelf(t *testing.T) shelf {
	t.Helper()
	s := shelf{0: statestore.NewMemory(), 1: statestore.NewMemory()}
	for i, id := range []string{"page/a.md", "page/b//c.md", "page/d?.md", "page/e.md"} {
		s.document(t, int32(i%2), engine.Header{ID: id, Position: stream.Position{Topic: "handbook.page", Offset: int64(i)}})
	}
	s.document(t, 0, engine.Header{ID: "page/bad.md", Status: engine.Quarantined, Reason: "it is too large",
		Failed: &stream.Position{Topic: "handbook.page", Offset: 9, Time: 1}})
	s.document(t, 1, engine.Header{ID: "page/slow.md", Status: engine.Pending})
	s.put(t, 1, []byte("q0"), engine.Rejected{Reason: "no JSON", Key: []byte{0xff, 'k'}, Value: []byte("{")})
	return s
}

func (s shelf) document(t *testing.T, p int32, h engine.Header) {
	t.Helper()
	doc := stream.FingerprintBytes([]byte(h.ID))
	input := stream.AppendValue(nil, inputOf(h.ID))
	h.Parts, h.InputBytes, h.Rows = 1, len(input), 1
	s.put(t, p, append([]byte{'h'}, doc[:]...), h)
	s.apply(t, p, binary.BigEndian.AppendUint32(append([]byte{'i'}, doc[:]...), 0), input)
	s.put(t, p, append([]byte{'r'}, doc[:]...), map[int]string{1: "pages", 2: "k"})
}

func inputOf(id string) stream.Value {
	d, _ := stream.ParseDecimal("1.50")
	return stream.MapOf(stream.Entry{Key: "path", Value: stream.StringOf(id)}, stream.Entry{Key: "price", Value: d},
		stream.Entry{Key: "v", Value: stream.VectorOf([]float32{1, 2, 3, 4})})
}

func (s shelf) put(t *testing.T, p int32, key []byte, x any) {
	t.Helper()
	b, err := stream.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	s.apply(t, p, key, b)
}

func (s shelf) apply(t *testing.T, p int32, key, value []byte) {
	t.Helper()
	if err := s[p].Apply([]stream.StateEntry{{Key: key, Value: value}}, stream.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
}

// process is a process to be asked.
type process struct {
	partitions []control.Partition
	loops      []control.Loop
	missing    []string
	rebuilt    []string
}

func (p *process) source(s control.Stores) control.Source {
	lag, fresh := int64(3), 0.25
	return control.Source{
		Stores:  s,
		Loops:   func() []control.Loop { return p.loops },
		Missing: func() []string { return p.missing },
		Status: func(context.Context) control.Status {
			return control.Status{Flow: "handbook", Partitions: p.partitions, SourceLag: &lag, Degraded: []string{"node vector: refused"},
				Intake:  &control.Intake{Lag: &lag, Records: 5, Transactions: control.Transactions{Committed: 2, Aborted: 1}},
				Targets: []control.Target{{Target: "local", Connected: true, Lag: &lag, Freshness: &fresh}, {Target: "away"}},
				Disk:    1234, Counts: engine.Counts{Applied: 7, Collected: 6, Other: map[string]int64{"heartbeat": 1}, Nodes: map[string]engine.NodeCount{"vector": {Computed: 2, Reused: 5}},
					Tables: map[string]engine.TableCount{"pages": {Upserts: 4}}}}
		},
		Search: func(_ context.Context, q control.SearchQuery) (control.SearchResult, error) {
			if q.Target != "local" {
				return control.SearchResult{}, control.ErrNotHere
			}
			if q.Table == "none" {
				return control.SearchResult{}, stream.Errorf(stream.Usage, "search table none", "the flow has no such table")
			}
			h := stream.Hit{RowID: stream.RowID{Document: "page/a.md", Key: "k"}, Distance: 0.5, Columns: []stream.Entry{{Key: "text", Value: stream.StringOf(q.Text)}}}
			return control.SearchResult{Target: q.Target, Table: "pages", Column: "v", Hits: []control.Hit{control.HitOf(h)}}, nil
		},
		Retry: func(_ context.Context, w control.Which) (control.Retried, error) {
			if w.Parked {
				return control.Retried{Due: 7}, nil
			}
			return control.Retried{Due: len(w.Documents) - 1, Unknown: w.Documents[1:]}, nil
		},
		Drop: func(_ context.Context, d control.Dropped) error {
			if at := d.Record; at != nil && (*at == control.Position{Topic: "a/b", Partition: 2, Offset: 1 << 40}) || d.Document == "page/a & b.md" {
				return nil
			}
			return control.ErrNotHere
		},
		Forget: func(_ context.Context, document string) (control.Forgotten, error) {
			if document == "page/none.md" {
				return control.Forgotten{}, control.ErrNotHere
			}
			return control.Forgotten{Document: document, Rows: map[string]int64{"pages": 2}, Until: 7}, nil
		},
		Shown: func(_ context.Context, _, document string) (int64, error) {
			if document != "page/a & b.md" {
				return 0, nil
			}
			return 3, nil
		},
		Rebuild: func(target string, partitions []int32) error {
			if target != "local" {
				return control.ErrNotHere
			}
			p.rebuilt = append(p.rebuilt, fmt.Sprint(target, partitions))
			return nil
		},
	}
}

func serve(t *testing.T, s control.Source) *control.Client {
	t.Helper()
	l, err := control.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.NewServer(s, control.NewMetrics()).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return control.NewClient(l.Addr().String())
}

func TestDocuments(t *testing.T) {
	c := serve(t, (&process{}).source(newShelf(t)))
	list := func(q control.Query) string {
		page, err := c.Documents(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, d := range page.Documents {
			ids = append(ids, strings.TrimPrefix(d.ID, "page/"))
		}
		return fmt.Sprintf("%v %d %s", ids, len(page.Rejected), page.Next)
	}
	for _, tt := range []struct {
		q    control.Query
		want string
	}{
		{control.Query{}, "[a.md b//c.md bad.md d?.md e.md slow.md] 1 "},
		{control.Query{Limit: 2}, "[a.md b//c.md] 1 page/b//c.md"},
		{control.Query{Limit: 2, After: "page/b//c.md"}, "[bad.md d?.md] 0 page/d?.md"},
		{control.Query{Limit: 2, After: "page/d?.md"}, "[e.md slow.md] 0 "},
		{control.Query{Status: "quarantined"}, "[bad.md] 1 "},
		{control.Query{Status: "pending"}, "[slow.md] 0 "},
	} {
		if got := list(tt.q); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.q, got, tt.want)
		}
	}
	if _, err := c.Documents(t.Context(), control.Query{Status: "lost"}); stream.KindOf(err) != stream.Usage {
		t.Errorf("an unknown status: %v", err)
	}
}

func TestDocument(t *testing.T) {
	c := serve(t, (&process{}).source(newShelf(t)))
	for _, id := range []string{"page/a.md", "page/b//c.md", "page/d?.md"} {
		d, err := c.Document(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != id || d.Input.Field("path").Str() != id || d.Input.Field("price").Str() != "1.50" || !slices.Equal(d.Rows, []control.Row{{Table: "pages", Key: "k"}}) {
			t.Errorf("got %+v", d)
		}
		input, err := c.Input(t.Context(), id)
		if err != nil || !input.Equal(inputOf(id)) {
			t.Errorf("the exact input is %v, %v", input, err)
		}
	}
	if _, err := c.Document(t.Context(), "page/none.md"); !errors.Is(err, control.ErrNotHere) {
		t.Errorf("an unknown document: %v", err)
	}
}

func TestActions(t *testing.T) {
	p := &process{}
	c := serve(t, p.source(control.NoStores{}))
	err := errors.Join(c.Rebuild(t.Context(), "local"), c.Rebuild(t.Context(), "local", 3, 11))
	if err != nil || !slices.Equal(p.rebuilt, []string{"local[]", "local[3 11]"}) {
		t.Errorf("rebuild: %q, %v", p.rebuilt, err)
	}
	if err := c.Rebuild(t.Context(), "away"); !errors.Is(err, control.ErrNotHere) {
		t.Errorf("rebuild of a target elsewhere: %v", err)
	}
	f, err := c.Forget(t.Context(), "page/a & b.md")
	if err != nil || f.Document != "page/a & b.md" || f.Rows["pages"] != 2 || f.Until != 7 {
		t.Errorf("forget: %+v, %v", f, err)
	}
	if r, err := c.Retry(t.Context(), control.Which{Documents: []string{"page/a & b.md", "page/none.md"}}); err != nil || r.Due != 1 || !slices.Equal(r.Unknown, []string{"page/none.md"}) {
		t.Errorf("retry: %+v, %v", r, err)
	}
	if r, err := c.Retry(t.Context(), control.Which{Parked: true}); err != nil || r.Due != 7 || r.Live == nil {
		t.Errorf("retry of all: %+v, %v", r, err)
	}
	at := control.Position{Topic: "a/b", Partition: 2, Offset: 1 << 40}
	if err := errors.Join(c.Drop(t.Context(), control.Dropped{Record: &at}), c.Drop(t.Context(), control.Dropped{Document: "page/a & b.md"})); err != nil {
		t.Errorf("drop: %v", err)
	}
	if err := c.Drop(t.Context(), control.Dropped{Document: "page/none.md"}); !errors.Is(err, control.ErrNotHere) {
		t.Errorf("drop an unknown document: %v", err)
	}
	if _, err := c.Forget(t.Context(), "page/none.md"); !errors.Is(err, control.ErrNotHere) {
		t.Errorf("forget an unknown document: %v", err)
	}
	if s, err := c.Shown(t.Context(), "local", "page/a & b.md"); err != nil || s != (control.Shown{Target: "local", Rows: 3}) {
		t.Errorf("shown: %+v, %v", s, err)
	}
	r, err := c.Search(t.Context(), control.SearchQuery{Target: "local", Text: "a & b", K: 3})
	if err != nil || len(r.Hits) != 1 || r.Hits[0].Columns["text"].Str() != "a & b" {
		t.Errorf("search: %+v, %v", r, err)
	}
	_, err = c.Search(t.Context(), control.SearchQuery{Target: "local", Table: "none", K: 3})
	if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("search in an unknown table: %v", err)
	}
}

func TestStatusHasNoNulls(t *testing.T) {
	p := &process{partitions: []control.Partition{{Partition: 2, State: "ready"}}}
	c := serve(t, p.source(newShelf(t)))
	body, _ := get(t, c, "/v1/status", nil)
	if n := strings.Count(body, "null"); n != 2 { // lag and freshness of the target that is away
		t.Errorf("%d nulls in %s", n, body)
	}
	s, err := c.Status(t.Context())
	if err != nil || s.Flow != "handbook" || s.Counts.Nodes["vector"].Reused != 5 || s.Targets[1].Lag != nil || *s.Targets[0].Lag != 3 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// get asks the plain way, with a change to the request.
func get(t *testing.T, c *control.Client, path string, change func(*http.Request)) (body string, code int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.StatusCode
}

func TestMetrics(t *testing.T) {
	p := &process{partitions: []control.Partition{{State: "ready", Stats: engine.Stats{Documents: 4, Pending: 1, Rows: map[string]int64{"pages": 6},
		Contents: &engine.Contents{Memos: engine.Amount{Count: 3, Bytes: 90}, Unused: engine.Amount{Count: 2, Bytes: 50}}}},
		{State: "restoring"}, {State: "ready", Stats: engine.Stats{Documents: 5, Contents: &engine.Contents{Memos: engine.Amount{Count: 1, Bytes: 10}}}}}}
	c := serve(t, p.source(newShelf(t)))
	body, _ := get(t, c, "/metrics", nil)
	for _, want := range []string{`freshet_changes_total{outcome="applied"} 7`, `freshet_changes_total{outcome="noop"} 0`,
		`freshet_node_results_total{how="computed",node="vector"} 2`, `freshet_rows_written_total{op="upsert",table="pages"} 4`,
		`freshet_records_skipped_total{kind="heartbeat"} 1`, `freshet_documents 9`, `freshet_documents_pending 1`,
		`freshet_rows{table="pages"} 6`, `freshet_partitions{state="ready"} 2`, `freshet_partitions{state="restoring"} 1`,
		`freshet_state_bytes{kind="memos"} 100`, `freshet_state_bytes{kind="inputs"} 0`, `freshet_state_memos{use="used"} 4`,
		`freshet_state_memos{use="unused"} 2`, `freshet_state_disk_bytes 1234`, `freshet_memos_collected_total 6`, `freshet_source_lag_records 3`, `freshet_target_lag_records{target="local"} 3`, `freshet_freshness_seconds{target="local"} 0.25`,
		`freshet_intake_lag_records 3`, `freshet_intake_records_total 5`, `freshet_intake_transactions_total{result="aborted"} 1`,
		`freshet_target_connected{target="away"} 0`, `freshet_state_divergence_total 0`, `freshet_degraded 1`} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, `freshet_target_lag_records{target="away"}`) {
		t.Error("a lag that nobody knows is told")
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "freshet_") {
			t.Error(problem.Metric, problem.Text)
		}
	}
}

func TestReady(t *testing.T) {
	p := &process{}
	c := serve(t, p.source(control.NoStores{}))
	if _, got := get(t, c, "/readyz", nil); got != 200 {
		t.Errorf("nothing missing: %d", got)
	}
	p.missing = []string{"not a member of group handbook yet", "partition 3 is being restored"}
	body, got := get(t, c, "/readyz", nil)
	if got != 503 || !strings.Contains(body, "not a member of group handbook yet; partition 3 is being restored") {
		t.Errorf("two things missing: %d %s", got, body)
	}
}

func TestLive(t *testing.T) {
	p := &process{loops: []control.Loop{{Name: "processor", Still: 29 * time.Second}, {Name: "target local"}}, missing: []string{"everything"}}
	c := serve(t, p.source(control.NoStores{}))
	if body, got := get(t, c, "/livez", nil); got != 200 {
		t.Errorf("loops turn: %d %s", got, body)
	}
	p.loops[1].Still = 31 * time.Second
	body, got := get(t, c, "/livez", nil)
	if got != 503 || !strings.Contains(body, "target local has stood still for 31s") || strings.Contains(body, "processor") {
		t.Errorf("one stands still: %d %s", got, body)
	}
	if body, _ := get(t, c, "/metrics", nil); !strings.Contains(body, `freshet_loop_still_seconds{loop="target local"} 31`) {
		t.Error("the metrics don't say it")
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	p := &process{}
	c := serve(t, p.source(newShelf(t)))
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"by address":        {func(*http.Request) {}, 200},
		"by localhost":      {func(r *http.Request) { r.Host = "localhost:1" }, 200},
		"by a rebound name": {func(r *http.Request) { r.Host = "evil.example:80" }, 403},
		"post from a page": {func(r *http.Request) {
			r.Method, r.URL.Path = "POST", "/v1/rebuild"
			r.Header.Set("Origin", "http://evil.example")
		}, 403},
		"get of an action":   {func(r *http.Request) { r.URL.Path = "/v1/rebuild" }, 405},
		"post from a script": {func(r *http.Request) { r.Method, r.URL.Path, r.URL.RawQuery = "POST", "/v1/rebuild", "target=local" }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if body, got := get(t, c, "/v1/status", tt.change); got != tt.want {
				t.Errorf("%d: %s", got, body)
			}
		})
	}
	if len(p.rebuilt) != 1 {
		t.Errorf("rebuilt %v", p.rebuilt)
	}
}

func TestListenRefusesATakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := control.Listen(l.Addr().String()); stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v", err)
	}
}

func TestValueAsJSON(t *testing.T) {
	v, _ := stream.ParseDecimal("-0.50")
	for _, tt := range []struct {
		v    stream.Value
		want string
	}{
		{stream.Value{}, "null"},
		{stream.BoolOf(true), "true"},
		{stream.IntOf(1 << 60), "1152921504606846976"},
		{stream.DoubleOf(0.5), "0.5"},
		{v, `"-0.50"`},
		{stream.BytesOf([]byte{1, 2}), `"AQI="`},
		{stream.ListOf(stream.IntOf(1), stream.StringOf("<")), `[1,"\u003c"]`},
		{stream.MapOf(stream.Entry{Key: "b"}, stream.Entry{Key: "a", Value: stream.IntOf(1)}), `{"a":1,"b":null}`},
		{stream.VectorOf([]float32{1, 2, 3, 4}), `{"vector":"f32","dims":4,"head":[1,2,3]}`},
	} {
		b, err := json.Marshal(control.Value{Value: tt.v})
		if err != nil || string(b) != tt.want {
			t.Errorf("%v: %s, %v; want %s", tt.v, b, err, tt.want)
		}
		var back control.Value
		if err := json.Unmarshal(b, &back); err != nil {
			t.Errorf("read %s back: %v", b, err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != tt.want && tt.v.Kind() != stream.Vector {
			t.Errorf("%s comes back as %s, %v", tt.want, again, err)
		}
	}
}
