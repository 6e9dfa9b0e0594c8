package torture

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// webhookTarget is the example of a receiver in a process of its own, which can be killed. Readers open its file. Each replica reaches it by a
// link of its own, which can hold a request back.
type webhookTarget struct {
	*links
	bin     string
	file    string
	address string
	p       *process
	db      *sql.DB
}

func newWebhook(t *testing.T, r *rig) target {
	t.Helper()
	file := filepath.Join(r.dir, "receiver.db")
	db := sql.OpenDB(readOnly("file:" + file + "?mode=rw&_pragma=query_only(1)&_pragma=busy_timeout(10000)"))
	t.Cleanup(func() { _ = db.Close() })
	v := &webhookTarget{bin: binary(t, "receive"), file: file, address: freeAddress(t), db: db}
	v.links = newLinks(t, v.address)
	v.start(t)
	return v
}

// start starts the receiver and waits until it answers.
func (v *webhookTarget) start(t *testing.T) {
	t.Helper()
	v.p = launch(t, v.ends, v.bin, nil, v.file, v.address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !v.answers(ctx) {
		select {
		case <-tick.C:
		case <-v.p.done:
			t.Fatalf("the receiver ended: %v\n%s", v.p.err, v.p.out.String())
		case <-ctx.Done():
			t.Fatalf("the receiver does not answer\n%s", v.p.out.String())
		}
	}
}

func (v *webhookTarget) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.address+"?flow=x&target=y", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (v *webhookTarget) restart(t *testing.T) {
	t.Helper()
	v.p.kill()
	v.start(t)
}

func (*webhookTarget) name() string { return "webhook" }
func (*webhookTarget) whole() bool  { return true }

func (*webhookTarget) block() string {
	return `{ webhook: { url: "env:TORTURE_WEBHOOK" }, tables: [docs, chunks] }`
}

func (v *webhookTarget) env(ordinal int) []string {
	return []string{"TORTURE_WEBHOOK=http://" + v.link(ordinal).listener.Addr().String()}
}

func (v *webhookTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	if _, err := os.Stat(v.file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	rows, err := v.db.QueryContext(ctx, `SELECT tab, document, key, version, columns FROM rows WHERE staged = 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s row
		var text []byte
		if err := rows.Scan(&s.table, &s.document, &s.key, &s.version, &text); err != nil {
			return nil, err
		}
		var c struct {
			ID, Rev, Parts int64
			Text           string
			Embedding      []float32
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, err
		}
		if s.id, s.rev, s.parts, s.text = c.ID, c.Rev, c.Parts, c.Text; vectors {
			s.vector = c.Embedding
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func (v *webhookTarget) applied(ctx context.Context) (map[int32]int64, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT partition, body ->> 'next' FROM places WHERE target = ?`, v.name())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := map[int32]int64{}
	for rows.Next() {
		var partition int32
		var next int64
		if err := rows.Scan(&partition, &next); err != nil {
			return nil, err
		}
		at[partition] = next
	}
	return at, rows.Err()
}

// freezeInside stops a replica whose batch is on its way: it comes to the receiver when another has taken over and has written more.
func (v *webhookTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	return v.freeze(t, x, `"do":"write"`, v.applied)
}

// evict does nothing: the receiver waits for nobody.
func (*webhookTarget) evict(context.Context, *testing.T, *replica) {}
