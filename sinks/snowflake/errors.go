package snowflake

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/snowflakedb/gosnowflake"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// signInError says that no session could be begun.
type signInError struct {
	err     error
	wasOpen bool // a session could be begun before
}

func (e *signInError) Error() string { return "sign in: " + e.err.Error() }

func (e *signInError) Unwrap() error { return e.err }

// classed gives err, which came up in op, its class. Errors that have one keep it; nil stays nil.
func classed(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *stream.Error
	if errors.As(err, &known) {
		return err
	}
	kind, advice := classify(err)
	if advice == "" {
		return &stream.Error{Op: op, Kind: kind, Err: err}
	}
	return stream.Errorf(kind, op, "%w; %s", err, advice)
}

func classify(err error) (kind stream.ErrorKind, advice string) {
	var lost *place.LostAnswer
	var signIn *signInError
	var refusal *gosnowflake.SnowflakeError
	switch {
	case errors.Is(err, place.ErrFenced):
		return stream.Fenced, ""
	case errors.As(err, &lost), isConflict(err), isOutage(err):
		return stream.Transient, ""
	case !errors.As(err, &refusal):
		return stream.Internal, ""
	case isExpiry(refusal.Number):
		return stream.Transient, ""
	case errors.As(err, &signIn) && signIn.wasOpen && signInAdvice[refusal.Number] != "":
		return stream.Transient, "a rotated password or key is waited for"
	}
	return classifyRefusal(refusal)
}

// isOutage reports whether err is about reaching the server rather than about what was asked of it.
func isOutage(err error) bool {
	var network net.Error
	var number syscall.Errno
	var status *statusError
	return errors.As(err, &network) || errors.As(err, &number) || errors.As(err, &status) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lockTimeout is Snowflake's number for a lock that was waited for in vain.
const lockTimeout = 625

// isConflict reports whether another transaction was in the way, and nothing was changed.
func isConflict(err error) bool {
	var refusal *gosnowflake.SnowflakeError
	return errors.As(err, &refusal) && refusal.Number == lockTimeout
}

// isExpiry tells the numbers of sessions and their tokens that are over: the next connection begins another.
func isExpiry(number int) bool { return number >= 390110 && number <= 390115 }

// signInAdvice tells what to do about refusals to sign in, by Snowflake's number.
var signInAdvice = map[int]string{
	390100: "check the settings user, password and private_key, and what they refer to",
	390101: "check the setting user",
	390102: "the user is locked, or disabled; let an administrator see to it",
	390144: "check the settings user and private_key, and that the user has the public key",
	390189: "check the setting role, and that the user may take it",
	390201: "check the setting warehouse, and that the role may use it",
}

// advice tells what to do, by Snowflake's number.
var advice = map[int]string{
	606:    "give the setting warehouse, or the user a default one",
	2003:   "create it, or grant the role what docs/targets/snowflake.md lists; if a table is gone, start again to have it made and rebuilt",
	2043:   "create it, or grant the role what docs/targets/snowflake.md lists; if a table is gone, start again to have it made and rebuilt",
	3001:   "grant the role what docs/targets/snowflake.md lists",
	904:    "a table was altered by hand; drop it and start again to have it made and rebuilt",
	100078: "a value is too long for the table; shorten it",
	100145: "a value is too long for Snowflake; shorten it",
}

// transientStates are SQLSTATEs of what may heal by itself: cancelled, timed out, no warehouse yet, an error inside Snowflake.
var transientStates = map[string]bool{"57014": true, "57P03": true, "XX000": true}

func classifyRefusal(refusal *gosnowflake.SnowflakeError) (stream.ErrorKind, string) {
	switch state := refusal.SQLState; {
	case advice[refusal.Number] != "":
		return stream.Usage, advice[refusal.Number]
	case signInAdvice[refusal.Number] != "":
		return stream.Usage, signInAdvice[refusal.Number]
	case transientStates[state], strings.HasPrefix(state, "08"), strings.HasPrefix(state, "40"):
		return stream.Transient, ""
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"):
		return stream.Usage, "a table does not take what the flow declares; drop constraints and policies that were added to it"
	}
	return stream.Internal, ""
}
