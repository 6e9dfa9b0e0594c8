package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	_ "modernc.org/sqlite/vec" // sqlite-vec has no other way in: the import adds its functions to each connection

	"github.com/freshet-dev/freshet/stream"
)

// classed turns an error of the driver into one of the engine's classes; nil stays nil.
func classed(op, path string, err error) error {
	var known *stream.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return stream.Errorf(stream.Transient, op, "%s: %w", path, err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return stream.Errorf(stream.Internal, op, "%s: %w", path, err)
	}
	kind, advice := reaction(e.Code())
	return stream.Errorf(kind, op, "%s: %w%s", path, err, advice)
}

// reaction says what a result code of SQLite means for the engine, and what the user can do.
func reaction(code int) (kind stream.ErrorKind, advice string) {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return stream.Transient, "; another program is writing to the file"
	case sqlite3.SQLITE_FULL:
		return stream.Transient, "; free some disk space"
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return stream.Transient, ""
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH:
		return stream.Usage, "; check the path and its permissions"
	case sqlite3.SQLITE_NOTADB:
		return stream.Usage, "; choose another path, this file is something else"
	case sqlite3.SQLITE_CORRUPT:
		return stream.Usage, "; move the file away and rebuild the target"
	case sqlite3.SQLITE_TOOBIG:
		return stream.Usage, "; SQLite holds at most 1 GB in a row"
	}
	return stream.Internal, ""
}
