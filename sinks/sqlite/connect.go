package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// readers bounds the concurrent reads of one sink.
const readers = 4

// databasePath resolves the path setting against the folder of the flow file.
func databasePath(s stream.Settings) (string, error) {
	path := s.String("path")
	if path == "" || strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:") || strings.ContainsRune(path, 0) {
		return "", stream.Errorf(stream.Usage, "target sqlite", "path %q is no file name; give one such as handbook.db", path)
	}
	return filepath.Abs(s.Path("path"))
}

// dsn names the file and how to open it. synchronous=FULL syncs the log at each commit: what Apply acknowledged
// survives a power failure. _dqs=0 makes a misspelled name an error rather than a string.
func dsn(path, mode string, pragmas ...string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	q := url.Values{"mode": {mode}, "_dqs": {"0"}, "_pragma": append([]string{"busy_timeout(1000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}).String()
}

func openReaders(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, "rw", "query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	return db, nil
}

// writer is the one connection of a sink that writes. Its transactions follow one another.
type writer struct {
	mu    sync.Mutex
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // prepared once, by text
}

func openWriter(ctx context.Context, path string) (*writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "rwc", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32768)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	w := &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}
	if err := w.checkMode(ctx, path); err != nil {
		_ = w.close()
		return nil, err
	}
	return w, nil
}

// checkMode makes sure that readers and the writer do not block each other: some network file systems can't do that.
func (w *writer) checkMode(ctx context.Context, path string) error {
	var mode string
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return stream.Errorf(stream.Usage, "open "+path,
			"SQLite can't keep a write-ahead log there (journal mode is %s); choose a path on a local disk", mode)
	}
	return nil
}

func (w *writer) close() error {
	for _, s := range w.stmts {
		_ = s.Close()
	}
	err := w.conn.Close()
	if e := w.db.Close(); err == nil {
		err = e
	}
	return err
}

// txn is a transaction under way.
type txn struct{ *writer }

// transact runs f between BEGIN and COMMIT; an error of f rolls back. Cancelling ctx interrupts f, never the commit,
// so that an error always means that nothing was written.
func (w *writer) transact(ctx context.Context, f func(*txn) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx := &txn{w}
	if _, err := tx.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f(tx)
	ctx = context.WithoutCancel(ctx)
	if err == nil {
		_, err = tx.exec(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = tx.exec(ctx, "ROLLBACK") // fails only when SQLite rolled back by itself
	}
	return err
}

func (tx *txn) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := tx.stmts[query]; s != nil {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(ctx, query)
	if err == nil {
		tx.stmts[query] = s
	}
	return s, err
}

// exec runs one statement and returns how many rows it wrote.
func (tx *txn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := tx.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// run runs statements that are not worth keeping.
func (tx *txn) run(ctx context.Context, statements ...string) error {
	for _, q := range statements {
		if _, err := tx.conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// row reads one row into dest; false when there is none.
func (tx *txn) row(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	s, err := tx.prepared(ctx, query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(ctx, args...).Scan(dest...)
	if err == sql.ErrNoRows {
		return false, nil
	}
	return err == nil, err
}
