// Package receiver is a receiver for the target `webhook` that keeps its promises: rows and places lie in one SQLite file, each POST is one
// transaction. docs/targets/webhook.md has the protocol. It uses nothing of Freshet's code.
package receiver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"modernc.org/sqlite"
)

// maxBody is in bytes: a batch has 8 MiB, and more when a single document has.
const maxBody = 256 << 20

// Receiver is an http.Handler. The zero values of Secret and Token ask for nothing.
type Receiver struct {
	Secret string // of signatures
	Token  string // bearer token

	write, read *sql.DB
}

// Open opens the file, or makes it.
func Open(path string) (*Receiver, error) {
	// FULL: what was answered with success survives a power failure.
	const options = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)"
	r := &Receiver{write: sql.OpenDB(file(path + options + "&_txlock=immediate")), read: sql.OpenDB(file(path + options + "&_pragma=query_only(1)"))}
	r.write.SetMaxOpenConns(1)
	_, err := r.write.Exec(schema)
	return r, err
}

// file opens connections to a database.
type file string

// Connect implements driver.Connector.
func (f file) Connect(context.Context) (driver.Conn, error) {
	return new(sqlite.Driver).Open(string(f))
}

// Driver implements driver.Connector.
func (f file) Driver() driver.Driver { return new(sqlite.Driver) }

// Close closes the file.
func (r *Receiver) Close() error { return errors.Join(r.write.Close(), r.read.Close()) }

// refusal is an answer other than success.
type refusal struct {
	status int
	Error  string `json:"error"`
	Place  *place `json:"place,omitempty"`
}

// ServeHTTP answers one request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	table := req.URL.Query().Get("table")
	switch {
	case err != nil:
		answer(w, &refusal{status: http.StatusRequestEntityTooLarge, Error: "the body can't be read, or is too large"})
	case !r.authentic(req, body):
		answer(w, &refusal{status: http.StatusUnauthorized, Error: "the token or the signature is not right"})
	case req.Method == http.MethodPost:
		var q request
		if err := json.Unmarshal(body, &q); err != nil {
			answer(w, &refusal{status: http.StatusBadRequest, Error: err.Error()})
			return
		}
		answer(w, r.take(req.Context(), &q))
	case req.Method == http.MethodGet && table != "":
		r.rows(w, req, table)
	case req.Method == http.MethodGet:
		answer(w, r.state(req.Context(), req.URL.Query().Get("flow"), req.URL.Query().Get("target")))
	default:
		answer(w, &refusal{status: http.StatusMethodNotAllowed, Error: "POST or GET"})
	}
}

// authentic checks the token, and the signature of the body, or of the query where there is none.
func (r *Receiver) authentic(req *http.Request, body []byte) bool {
	if req.Method == http.MethodGet {
		body = []byte(req.URL.RawQuery)
	}
	mac := hmac.New(sha256.New, []byte(r.Secret))
	mac.Write(body)
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	return (r.Secret == "" || same(req.Header.Get("Freshet-Signature"), signature)) && (r.Token == "" || same(req.Header.Get("Authorization"), "Bearer "+r.Token))
}

func same(given, want string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

// answer writes what was done. An error that is no refusal may pass: the batch is sent again.
func answer(w http.ResponseWriter, outcome any) {
	status := http.StatusOK
	switch x := outcome.(type) {
	case *refusal:
		status = x.status
	case error:
		status, outcome = http.StatusServiceUnavailable, &refusal{Error: x.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(outcome) // who is gone asks again
}

// rows streams a table as of one moment: a line of JSON for each row, and at last their number.
func (r *Receiver) rows(w http.ResponseWriter, req *http.Request, table string) {
	if !exists(req.Context(), r.read, table) {
		answer(w, &refusal{status: http.StatusNotFound, Error: "there is no table " + strconv.Quote(table)})
		return
	}
	found, err := r.read.QueryContext(req.Context(), `SELECT document, key, version, columns, coalesce(lineage, 'null') FROM rows
		WHERE staged = 0 AND tab = ? ORDER BY document, key`, table)
	if err != nil {
		answer(w, err)
		return
	}
	defer found.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, n := json.NewEncoder(w), 0
	for ; found.Next(); n++ {
		var u upsert
		var columns, lineage string
		if err := found.Scan(&u.Document, &u.Key, &u.Version, &columns, &lineage); err != nil {
			panic(http.ErrAbortHandler) // the reader sees that the last line is missing
		}
		u.Table, u.Columns, u.Lineage = table, json.RawMessage(columns), json.RawMessage(lineage)
		if lines.Encode(u) != nil {
			return
		}
	}
	if found.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	_ = lines.Encode(map[string]int{"rows": n})
}

func exists(ctx context.Context, db *sql.DB, table string) bool {
	return db.QueryRowContext(ctx, `SELECT 1 FROM tables WHERE name = ?`, table).Scan(new(int)) == nil
}
