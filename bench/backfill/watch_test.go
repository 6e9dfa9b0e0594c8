//go:build bench

package backfill

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// watch looks at the target for editions that are on their way, within a millisecond or two of each commit to it.
type watch struct {
	mu   sync.Mutex
	open map[string]edit // by document
	took times
	err  error

	cancel context.CancelFunc
	ended  chan struct{}
}

// edit is one that is not seen yet.
type edit struct {
	edition int
	sent    time.Time
}

func (s *scene) watch() *watch {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	conn, err := s.db.Conn(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &watch{open: map[string]edit{}, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		err := w.look(ctx, conn)
		_ = conn.Close() // it only read
		w.mu.Lock()
		defer w.mu.Unlock()
		if ctx.Err() == nil {
			w.err = err
		}
	}()
	return w
}

// expect says that an edition is about to be written; false: one of the document still is on its way.
func (w *watch) expect(id, edition int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	document := fmt.Sprintf("ticket/%d", id)
	if _, under := w.open[document]; under {
		return false
	}
	w.open[document] = edit{edition, time.Now()}
	return true
}

// look asks for the rows of open editions whenever the file has changed.
func (w *watch) look(ctx context.Context, conn *sql.Conn) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var version int64
		if err := conn.QueryRowContext(ctx, `pragma data_version`).Scan(&version); err != nil {
			return err
		}
		if version == last {
			continue
		}
		last = version
		if err := w.see(ctx, conn); err != nil {
			return err
		}
	}
}

func (w *watch) see(ctx context.Context, conn *sql.Conn) error {
	var documents []any
	w.mu.Lock()
	for document := range w.open {
		documents = append(documents, document)
	}
	w.mu.Unlock()
	if len(documents) == 0 {
		return nil
	}
	rows, err := conn.QueryContext(ctx, `select _document, edition from tickets where _document in (?`+strings.Repeat(", ?", len(documents)-1)+`)`, documents...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err says what failed
	for rows.Next() {
		var document string
		var edition int
		if err := rows.Scan(&document, &edition); err != nil {
			return err
		}
		w.seen(document, edition)
	}
	return rows.Err()
}

func (w *watch) seen(document string, edition int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, under := w.open[document]; under && edition >= e.edition {
		w.took = append(w.took, time.Since(e.sent))
		delete(w.open, document)
	}
}

// rest waits for what is still open, and returns how long each edition took.
func (w *watch) rest(t *testing.T) times {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		w.mu.Lock()
		open, took, err := len(w.open), w.took, w.err
		w.mu.Unlock()
		switch {
		case err != nil:
			t.Fatal(err)
		case open == 0 && len(took) > 0:
			return took
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d editions were not seen within a minute", open)
		}
	}
}

func (w *watch) close() { w.cancel(); <-w.ended }
