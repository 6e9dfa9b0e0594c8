package engine_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream/engine"
)

// model is what a reader of the changes expects, without transactions, memos or time: it folds one change after another.
type model struct {
	docs    map[string]*modelDoc
	version int
}

type modelDoc struct {
	fields  map[string]string
	exists  bool
	refused bool                // the last change was not understood
	states  []map[string]string // valid contents since the last delete, the newest last
}

func newModel() *model { return &model{docs: map[string]*modelDoc{}, version: 1} }

func (m *model) fold(w write) {
	if w.text[0] == '!' || w.text == "?" {
		return
	}
	key := document(w.key)
	d := m.docs[key]
	if d == nil {
		d = &modelDoc{}
		m.docs[key] = d
	}
	switch {
	case w.text == "-":
		*d = modelDoc{}
	case strings.Contains(w.text, "?"):
		d.exists, d.refused = true, true
	default:
		d.upsert(w.text)
	}
}

func (d *modelDoc) upsert(text string) {
	fields := map[string]string{}
	for f := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(f, "=")
		old, had := d.fields[name]
		switch {
		case value != "~":
			fields[name] = strings.ReplaceAll(value, ",", " ")
		case had:
			fields[name] = old
		}
	}
	d.exists, d.refused, d.fields = true, false, fields
	d.states = append(d.states, fields)
}

// good reports whether a content can be evaluated.
func good(f map[string]string) bool {
	return !strings.HasPrefix(f["title"], "wrong") && !strings.Contains(f["body"], "bad") && len(f["body"]) < maxRecord/2
}

const programs = 3 // versions of the program

// rows renders the rows of a content under a version of the program.
func rows(f map[string]string, version int) string {
	title := "null"
	if t, ok := f["title"]; ok || version > 1 {
		title = fmt.Sprintf("%q", t+strings.Repeat("!", version-1))
	}
	out := []string{"pages=" + title}
	for _, w := range distinct(f["body"]) {
		out = append(out, fmt.Sprintf("words %s=%q", w.Str(), strings.ToUpper(w.Str())))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// expect compares a partition in which nothing is pending with the model.
func (m *model) expect(p *part) error {
	docs, err := p.documents()
	if err != nil {
		return err
	}
	for _, key := range sortedKeys(m.docs) {
		id, d := "book/"+key, m.docs[key]
		h, known := docs[id]
		delete(docs, id)
		if known != d.exists {
			return fmt.Errorf("%s: stored %t, want %t", id, known, d.exists)
		}
		if err := d.expect(p, h, m.version); known && err != nil {
			return err
		}
		if !known && p.table(id) != "" {
			return fmt.Errorf("%s is deleted, its rows are still %s", id, p.table(id))
		}
	}
	if len(docs) > 0 {
		return fmt.Errorf("documents that nobody wrote: %v", sortedKeys(docs))
	}
	return nil
}

func (d *modelDoc) expect(p *part, h engine.Header, version int) error {
	in, err := engine.ReadInput(p.store, h)
	if err != nil {
		return err
	}
	if in.Len() != len(d.fields) {
		return fmt.Errorf("%s: input %s, want %v", h.ID, in, d.fields)
	}
	for name, v := range d.fields {
		if in.Field(name).Str() != v {
			return fmt.Errorf("%s: input %s, want %v", h.ID, in, d.fields)
		}
	}
	live := !d.refused && good(d.fields)
	if live != (h.Status == engine.Live) || live != (h.Reason == "") {
		return fmt.Errorf("%s is %s (%s), want live: %t", h.ID, h.Status, h.Reason, live)
	}
	got := p.table(h.ID)
	if live && got != rows(d.fields, version) {
		return fmt.Errorf("%s has the rows %s, want %s", h.ID, got, rows(d.fields, version))
	}
	if !live && !d.had(got) {
		return fmt.Errorf("%s is quarantined with rows that it never had: %s", h.ID, got)
	}
	return nil
}

func (d *modelDoc) had(got string) bool {
	if got == "" {
		return true
	}
	for _, f := range d.states {
		for v := range programs {
			if good(f) && got == rows(f, v+1) {
				return true
			}
		}
	}
	return false
}

var texts = []string{"title=A body=red,green", "body=red,green title=A", "title=A body=red,green note=x", "title=B body=red",
	"title=B body=~", "title=~ body=blue note=~", "title=C body=slow1", "title=A body=slow2,red", "title=A body=slow2,red note=y", "title=B body=slow2,~",
	"title=wrong body=red", "title=D body=bad,red", "title=D body=slow1,bad", "title=E body=red," + strings.Repeat("x", maxRecord),
	"body=green", "title=F body=a,b,c,d,e,f", "title=F body=a,c,e,g,i", "title=F body=slow1,b,c,d,e", "title=G body=weak,red", "title=G body=weak,bad", "-", "-", "?id", "title=?", "!heartbeat", "?"}

// stepOf is one step of a random history.
type stepOf struct {
	kind string // commit, abort, forget, collect, release, restart, program; outage: of a word; rest: until what is parked may be due
	n    int    // of records
}

type history struct {
	glance bool // the decoder is one that finds images without decoding
	writes []write
	steps  []stepOf
}

func drawHistory(t *rapid.T) history {
	h := history{glance: rapid.Bool().Draw(t, "glance")}
	n := rapid.IntRange(1, 24).Draw(t, "writes")
	for i := range n {
		if i > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
			h.writes = append(h.writes, h.writes[rapid.IntRange(0, i-1).Draw(t, "of")])
			continue
		}
		h.writes = append(h.writes, write{rapid.SampledFrom([]string{"a", "b", "c", "a'"}).Draw(t, "key"), rapid.SampledFrom(texts).Draw(t, "text")})
	}
	kinds := []string{"commit", "commit", "commit", "abort", "forget", "collect", "collect", "release", "restart", "program", "outage", "rest"}
	for range rapid.IntRange(1, 16).Draw(t, "steps") {
		h.steps = append(h.steps, stepOf{rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.IntRange(0, 5).Draw(t, "n")})
	}
	return h
}

// run plays a history, then lets everything finish, and compares with the model.
func (h history) run(s *scene) (err error) {
	if h.glance {
		s.decoder = glancing{}
	}
	s.retention = retention
	s.clock, s.attempts = true, 1000
	_, s.mended = s.poisoned("weak")
	s.mended.Store(true)
	s.start()
	defer s.stop()
	p, err := s.part(0)
	if err != nil {
		return err
	}
	for i, st := range h.steps {
		rest := h.writes[p.next:]
		if err := s.play(p, st, rest[:min(st.n, len(rest))]); err != nil {
			return fmt.Errorf("step %d %v: %w", i, st, err)
		}
	}
	s.op.release("slow1")
	s.op.release("slow2")
	s.mended.Store(true)
	<-time.After(2 * time.Hour)
	if _, err := s.commit(p, h.writes[p.next:], 16); err != nil {
		return fmt.Errorf("last commit: %w", err)
	}
	if err := s.drain(p, 50); err != nil {
		return err
	}
	s.now += 2 * retention
	if err := s.sweepAll(p, 3); err != nil {
		return err
	}
	if c := p.engine.Stats().Contents; c.Unused.Count != 0 {
		return fmt.Errorf("unused memos are left in the end: %+v", c)
	}
	m := newModel()
	m.version = s.program.version
	for i, w := range h.writes {
		m.forget(s.forgets, int64(i))
		m.fold(w)
	}
	m.forget(s.forgets, int64(len(h.writes)))
	return m.expect(p)
}

// forget folds what was forgotten once so many records were read.
func (m *model) forget(all []forgetting, at int64) {
	for _, f := range all {
		if f.at == at {
			m.fold(write{f.key, "-"})
		}
	}
}

func (s *scene) play(p *part, st stepOf, writes []write) error {
	switch st.kind {
	case "commit":
		_, err := s.commit(p, writes, st.n)
		return err
	case "abort":
		return s.abort(p, writes, st.n > 2)
	case "forget": // aborted first, now and then
		s.forget = []string{"a", "b", "c"}[st.n%3]
		defer func() { s.forget = "" }()
		if st.n > 3 {
			if err := s.abort(p, writes, true); err != nil {
				return err
			}
		}
		_, err := s.commit(p, writes, st.n)
		return err
	case "collect": // aborted first, now and then; beside changes
		s.sweep, s.now = 1+st.n, s.now+int64(st.n)*retention/3
		defer func() { s.sweep = 0 }()
		if st.n > 3 {
			if err := s.abort(p, writes, true); err != nil {
				return err
			}
		}
		_, err := s.commit(p, writes, st.n)
		return err
	case "outage":
		s.mended.Store(st.n%2 == 0)
	case "rest":
		<-time.After(time.Duration(st.n) * time.Minute)
		_, err := s.commit(p, writes[:min(1, len(writes))], st.n)
		return err
	case "release":
		s.op.release([]string{"slow1", "slow2"}[st.n%2])
	case "restart":
		return s.restart(p.engine.Backlog() > 0)
	case "program":
		s.program = newBook(s.program.version%programs+1, s.op)
		return s.restart(true)
	}
	return nil
}

// Whatever the batches, aborts, crashes, delays and programs: in the end the state is what the changes say, every
// change is counted once, and after each commit the state agrees with itself (scene.check).
func TestHistoriesEndAsTheChangesSay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		var err error
		synctest.Test(t, func(*testing.T) { err = h.run(newScene()) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
