package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// classed gives err, which came up in op, its class. Errors that have one keep it; nil stays nil.
func classed(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *stream.Error
	if errors.As(err, &known) {
		return err
	}
	kind, err := classify(err)
	return &stream.Error{Op: op, Kind: kind, Err: err}
}

func classify(err error) (stream.ErrorKind, error) {
	var refusal *pgconn.PgError
	var lost *place.LostAnswer
	switch {
	case errors.Is(err, place.ErrFenced):
		return stream.Fenced, err
	case errors.As(err, &lost):
		return stream.Transient, err
	case errors.As(err, &refusal):
		return classifyRefusal(refusal, err)
	case isOutage(err):
		return stream.Transient, err
	}
	return stream.Internal, err
}

// isOutage reports whether err is about reaching the server rather than about what was asked of it.
func isOutage(err error) bool {
	var network net.Error
	var number syscall.Errno
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &number) || errors.As(err, &connect) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// transientCodes are single SQLSTATEs of classes that are not transient as a whole.
var transientCodes = map[string]bool{
	"25006": true, // read-only: a standby, or a disk that filled up
	"25P03": true, // idle in transaction too long
	"55P03": true, // lock not available
	"57014": true, // statement timeout
	"57P01": true, // administrator's command
	"57P02": true, // crash shutdown
	"57P03": true, // cannot connect now
	"57P05": true, // idle too long
}

// programLimit is the SQLSTATE of a row or key that is too large.
const programLimit = "54000"

// advice completes the server's message with what the user can do.
var advice = map[string]string{
	"28P01":      "the password is wrong or missing; check the setting url and what it refers to",
	"28000":      "the user may not log in; check the setting url, and pg_hba.conf on the server",
	"3D000":      "create the database, or correct the setting url",
	"42501":      "grant the user CREATE on the schema, or let it own the tables",
	"3F000":      "the schema is gone; start again to have it made",
	"42P01":      "a table is gone; start again to have it made and rebuilt",
	"42703":      "a table was altered by hand; drop it and start again to have it made and rebuilt",
	"2BP01":      "drop what depends on the table first",
	programLimit: "a row exceeds a limit of Postgres; shorten its key or its values",
}

func classifyRefusal(refusal *pgconn.PgError, err error) (stream.ErrorKind, error) {
	switch class := refusal.Code[:min(2, len(refusal.Code))]; {
	case class == "08", class == "40", class == "53", class == "58", transientCodes[refusal.Code]:
		return stream.Transient, err
	case advice[refusal.Code] != "":
		return stream.Usage, &advised{err, advice[refusal.Code]}
	case class == "22", class == "23":
		return stream.Usage, &advised{err, "table " + refusal.TableName + " does not take what the flow declares; drop constraints and triggers that were added to it"}
	}
	return stream.Internal, err
}

// advised is a server's refusal with what to do about it.
type advised struct {
	err    error
	advice string
}

func (a *advised) Error() string { return a.err.Error() + ": " + a.advice }

func (a *advised) Unwrap() error { return a.err }
