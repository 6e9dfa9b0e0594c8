package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// crowd are notes that change all the time, and what a reader saw of their rows.
type crowd struct {
	*notes
	random *rand.Rand

	mu    sync.Mutex
	last  map[string]int    // by note: the number that it was given last
	shown map[string]string // by note: what its row said when it was looked at last
	at    map[string]int64  // by note: the version of that row
	turns map[string]int    // by note: how often its row went from one revision to another
	count int
}

// newCrowd is one whose flow file is still to be written.
func newCrowd(t *testing.T) *crowd {
	broker, db := testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t)
	in := newTopic(t, broker, testenv.Name(t), 6)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	n := &notes{in: in, flow: strings.ReplaceAll(in.name, "_", "-"), url: db.URL}
	return &crowd{notes: n, random: rand.New(rand.NewPCG(seed, 1)), last: map[string]int{}, shown: map[string]string{}, at: map[string]int64{}, turns: map[string]int{}}
}

// begin lets the crowd live as soon as p has made the table, until the returned function is called.
func (c *crowd) begin(p *process) (calm func()) {
	c.t.Helper()
	reader, err := pgx.Connect(c.t.Context(), c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	p.until("the table is there", func(ctx context.Context) bool { return c.look(ctx, reader) == nil && len(c.shown) > 0 })
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- errors.Join(c.live(ctx, reader), reader.Close(context.WithoutCancel(ctx)))
	}()
	return func() {
		c.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	}
}

// saidColumn is what the flow makes of a note under a revision.
const saidColumn = `said: 'note.text + " (%s)"'`

func (c *crowd) flowFile(revision string) string {
	return strings.Replace(noteFlow(c.in.addr, c.in.name, c.flow), "text: note.text", "text: note.text, "+fmt.Sprintf(saidColumn, revision), 1)
}

// live edits and looks until ctx ends.
func (c *crowd) live(ctx context.Context, reader *pgx.Conn) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		c.edit()
		if err := c.look(ctx, reader); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (c *crowd) edit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	id := strconv.Itoa(c.random.IntN(60))
	c.last[id] = c.count
	c.say(id, strconv.Itoa(c.count))
}

// look reads all rows. A note's number and the version of its row never fall, and what it says is always made of its text.
func (c *crowd) look(ctx context.Context, reader *pgx.Conn) error {
	rows, err := reader.Query(ctx, "select _document, _version, text, said from e2e.notes")
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var document, text, said string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&document, &version, &text, &said}, func() error {
		was, wasAt := c.shown[document], c.at[document]
		c.shown[document], c.at[document] = said, version
		n, revision := saying(said)
		before, by := saying(was)
		switch {
		case !strings.HasPrefix(said, text+" "):
			return fmt.Errorf("%s says %q of %q", document, said, text)
		case n < before || version < wasAt:
			return fmt.Errorf("%s fell from %q of version %d to %q of version %d", document, was, wasAt, said, version)
		case was != "" && revision != by:
			c.turns[document]++
		}
		return nil
	})
	return err
}

// saying takes "17 (two)" apart.
func saying(said string) (n int, revision string) {
	number, revision, _ := strings.Cut(said, " ")
	n, _ = strconv.Atoi(number) // of "": 0
	return n, revision
}

// now are the notes' numbers.
func (c *crowd) now() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.last)
}

// settled reports whether every note is shown as the revision says it, at least as new as its number here.
func (c *crowd) settled(notes map[string]int, revision string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, least := range notes {
		if n, by := saying(c.shown["note/"+id]); n < least || by != "("+revision+")" {
			return false
		}
	}
	return true
}

// all waits until every note is shown so, while a replica runs.
func (c *crowd) all(p *process, what, revision string) {
	c.t.Helper()
	notes := c.now()
	p.until(what, func(context.Context) bool { return c.settled(notes, revision) })
}

// turned takes how often each note's row changed its revision since it was asked last.
func (c *crowd) turned() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	turns := maps.Clone(c.turns)
	clear(c.turns)
	return turns
}

// TestRevisionsRoll: three replicas under load take a revision over, and go back to the one before, while one of them is killed and starts
// with another flow file than the others had. No row alternates between revisions, and no change is missed.
func TestRevisionsRoll(t *testing.T) {
	t.Parallel() // it waits most of the time
	c := newCrowd(t)
	n := c.notes
	n.project = newProject(t, c.flowFile("one"))
	n.env = []string{"E2E_URL=" + n.url, "FRESHET_PATIENCE=5s"}
	c.edit()
	var replicas []*process
	for i := range 3 {
		replicas = append(replicas, n.run("--replica", strconv.Itoa(i)))
	}
	calm := c.begin(replicas[0])
	c.all(replicas[0], "all is shown by the first revision", "one")

	n.write("flow.yaml", c.flowFile("two"))
	replicas[1].kill()
	replicas[1] = n.run("--replica", "1")
	replicas[1].until("it says that its file is not what it runs", func(context.Context) bool {
		return strings.Contains(replicas[1].stderr.String(), "freshet apply")
	})
	c.all(replicas[0], "the recorded revision goes on", "one")
	if turns := c.turned(); len(turns) > 0 {
		t.Errorf("a file that was not applied changed rows: %v", turns)
	}
	n.apply(2)
	c.all(replicas[0], "all is shown by the second revision", "two")
	c.once("took over")
	n.apply(3, "--revision=1")
	c.all(replicas[0], "all is shown by the first revision again", "one")
	c.once("went back")
	calm()
	for i, p := range replicas {
		if !p.running() {
			t.Errorf("replica %d ended: %s", i, p.stderr.String())
		}
	}
	if text := replicas[0].stderr.String(); !strings.Contains(text, "revision=2") || !strings.Contains(text, "revision=3") {
		t.Errorf("a replica did not say why it yielded:\n%s", text)
	}
	status := n.command("status")
	if text := status.reads(); !strings.Contains(text, "3 running, revision 3") {
		t.Errorf("status: %s", text)
	}
}

// once checks that no row went back and forth.
func (c *crowd) once(what string) {
	c.t.Helper()
	turns := c.turned()
	if len(turns) == 0 {
		c.t.Errorf("no row was seen when the flow %s", what)
	}
	for document, n := range turns {
		if n != 1 {
			c.t.Errorf("the row of %s alternated %d times when the flow %s", document, n, what)
		}
	}
}

// TestBackfillKilled: `freshet run` is killed at random moments of a backfill, while documents change. In the end the tables are those of a fresh
// flow, and the model was asked for nothing that was neither planned, nor changed, nor lost at a kill. FRESHET_BACKFILL_KILLS says how often.
func TestBackfillKilled(t *testing.T) {
	kills := scaled(t, "FRESHET_BACKFILL_KILLS", 5)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	m, in := newModelServer(t), newTopic(t, testenv.SharedKafka(t), testenv.Name(t), 4)
	name := strings.ReplaceAll(in.name, "_", "-")
	flow := ticketFlow(in, m, name, "chunk.text", "")
	p := newProject(t, flow)
	documents := 20 * kills
	say := func(id, edition int) {
		in.produce(row("u", strconv.Itoa(id), fmt.Sprintf(`"title":"Rivers","note":"","body":"One says that river %d rises in the hills behind the town.\n\n`+
			`Two says in edition %d that river %[1]d bends around the town.\n\nThree says that river %[1]d ends where the sea begins to smell."`, id, edition)))
	}
	for id := range documents {
		say(id, 0)
	}
	p.runOnce()
	m.taken()
	second := strings.Replace(flow, "model: one", "model: two", 1)
	p.write("flow.yaml", second)
	planned := p.plans().Nodes["vector"].Computed
	p.apply(2, "--rate=25")
	edits := 0
	for range kills {
		r := p.run()
		moment := time.NewTimer(time.Duration(300+random.IntN(1500)) * time.Millisecond)
		tick := time.NewTicker(100 * time.Millisecond)
		for alive := true; alive; {
			select {
			case <-tick.C:
				edits++
				say(random.IntN(documents), edits)
			case <-moment.C:
				alive = false
			case <-r.done:
				t.Fatalf("run ended by itself\n%s", r.stderr.String())
			}
		}
		tick.Stop()
		r.kill()
	}
	start(t, p.dir, p.env, "backfill", "rate", "0", "-f", "flow.yaml").exits(0)
	p.runOnce()
	asked := m.taken()
	distinct := map[string]bool{}
	for _, input := range asked {
		distinct[input] = true
	}
	repeated := len(asked) - len(distinct)
	t.Logf("%d kills, %d edits: %d inputs planned, %d asked for, of which %d again", kills, edits, planned, len(asked), repeated)
	if planned != 3*documents || len(distinct) > planned+edits {
		t.Errorf("%d different inputs, of %d planned and %d edited", len(distinct), planned, edits)
	}
	if repeated > 100*kills {
		t.Errorf("%d inputs were asked for again after %d kills", repeated, kills)
	}
	if r := p.runOnce(); r.Documents != 0 {
		t.Errorf("something was left: %+v", r)
	}
	q := newProject(t, strings.Replace(second, "flow: "+name, "flow: "+name+"-fresh", 1))
	q.runOnce()
	same(t, "parts", p.rows("parts"), q.rows("parts"))
}

// TestChangeBelowAModel: another model makes no call of the model above it, and a column's formula and a target more make none at all.
// FRESHET_BACKFILL_DOCUMENTS says of how many documents.
func TestChangeBelowAModel(t *testing.T) {
	documents := scaled(t, "FRESHET_BACKFILL_DOCUMENTS", 200)
	above, below := newModelServer(t), newModelServer(t)
	in := newTopic(t, testenv.SharedKafka(t), testenv.Name(t), 4)
	name := strings.ReplaceAll(in.name, "_", "-")
	flow := func(model, title, targets string) string {
		return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources: { ticket: { debezium: { topic: "%s" } } }
models:
  first:  { provider: openai, base_url: "%s", model: one, dimensions: %d }
  second: { provider: openai, base_url: "%s", model: %s, dimensions: %d }
nodes:
  vector: { op: embed, in: 'string(ticket.body)', model: first }
  said:   { op: expr, in: 'string(vector == null) + string(ticket.body)' }
  again:  { op: embed, in: said, model: second }
tables:
  tickets: { columns: { title: '%s', vector: vector, again: again } }
targets:
  local: { sqlite: { path: out.db }, tables: [tickets] }
%s`, name, in.addr, in.name, above.URL, dimensions, below.URL, model, dimensions, title, targets)
	}
	p := newProject(t, flow("one", "string(ticket.title)", ""))
	var records []*kgo.Record
	for id := range documents {
		records = append(records, row("c", strconv.Itoa(id), fmt.Sprintf(`"title":"Rivers","body":"It says that river %d rises."`, id)))
	}
	in.produce(records...)
	p.runOnce()
	calls := func() [2]int { return [2]int{len(above.taken()), len(below.taken())} }
	if n := calls(); n != [2]int{documents, documents} {
		t.Fatalf("at first the models embedded %v inputs", n)
	}
	for i, step := range []struct {
		what, model, title, targets string
		want                        [2]int
		evaluated                   int64
	}{
		{"another model below", "two", "string(ticket.title)", "", [2]int{0, documents}, int64(documents)},
		{"another formula of a column", "two", `string(ticket.title) + "!"`, "", [2]int{}, int64(documents)},
		{"a target more", "two", `string(ticket.title) + "!"`, "  more: { sqlite: { path: more.db }, tables: [tickets] }\n", [2]int{}, 0},
	} {
		p.write("flow.yaml", flow(step.model, step.title, step.targets))
		p.apply(int64(i + 2))
		r := p.runOnce()
		if n := calls(); n != step.want || int64(r.Documents) != step.evaluated {
			t.Errorf("%s: the models embedded %v inputs, want %v; %d documents were evaluated", step.what, n, step.want, r.Documents)
		}
		t.Logf("%s: %v s", step.what, r.Seconds)
	}
	if n := len(sqliteRows(t, filepath.Join(p.dir, "more.db"), "tickets")); n != documents {
		t.Errorf("the new target holds %d rows, want %d", n, documents)
	}
}

// scaled is what an environment variable says, else what make test takes.
func scaled(t testing.TB, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
