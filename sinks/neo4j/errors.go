package neo4j

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// classed gives err, which came up in op, its class. Errors that have one keep it; nil stays nil.
func (s *Sink) classed(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *stream.Error
	if errors.As(err, &known) {
		return err
	}
	kind, advice := s.classify(err)
	if advice == "" {
		return &stream.Error{Op: op, Kind: kind, Err: err}
	}
	return stream.Errorf(kind, op, "%w; %s", err, advice)
}

func (s *Sink) classify(err error) (kind stream.ErrorKind, advice string) {
	var refusal *neo4j.Neo4jError
	var lost *place.LostAnswer
	var misused *neo4j.UsageError
	switch {
	case errors.Is(err, place.ErrFenced):
		return stream.Fenced, ""
	case errors.As(err, &refusal):
		return s.classifyRefusal(refusal)
	case errors.As(err, &lost), isOutage(err):
		return stream.Transient, ""
	case errors.As(err, &misused):
		return stream.Usage, "check the setting url"
	}
	return stream.Internal, ""
}

// isOutage reports whether err is about reaching the server rather than about what was asked of it. The driver's own tests of its errors
// don't look into wrapped ones.
func isOutage(err error) bool {
	var unreached *neo4j.ConnectivityError
	var network net.Error
	var number syscall.Errno
	return errors.As(err, &unreached) || neo4j.IsRetryable(err) || errors.As(err, &network) || errors.As(err, &number) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// advice completes the server's message with what the user can do.
var advice = map[string]string{
	"Security.Unauthorized":                    "check the settings username and password, and what they refer to",
	"Security.CredentialsExpired":              "set a password of the user's own",
	"Security.Forbidden":                       "grant the user what docs/targets/neo4j.md lists",
	"Database.DatabaseNotFound":                "create the database, or correct the setting database",
	"Schema.ConstraintValidationFailed":        "drop constraints that were added to what this target keeps",
	"Schema.EquivalentSchemaRuleAlreadyExists": "drop the constraint or index that was added there",
	"Schema.IndexAlreadyExists":                "drop the index that was made over document and key of this label",
}

// classifyRefusal judges by the server's own classes. What its database failed at, a full disk for one, may heal.
func (s *Sink) classifyRefusal(refusal *neo4j.Neo4jError) (stream.ErrorKind, string) {
	code := strings.TrimPrefix(refusal.Code, "Neo.ClientError.")
	switch {
	case strings.HasPrefix(refusal.Code, "Neo.TransientError."), strings.HasPrefix(refusal.Code, "Neo.DatabaseError."), neo4j.IsRetryable(refusal),
		strings.HasPrefix(code, "Transaction."), strings.HasPrefix(code, "Cluster."), code == "Security.AuthenticationRateLimit":
		return stream.Transient, ""
	case code == "Security.Unauthorized" && s.opened.Load():
		return stream.Transient, "a rotated password is waited for"
	case advice[code] != "":
		return stream.Usage, advice[code]
	}
	return stream.Internal, ""
}
