package redis

import (
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/stream"
)

// kinds are the classes of a server's answers by their first word; others are Internal.
var kinds = map[string]stream.ErrorKind{
	"LOADING":    stream.Transient, // it reads its data
	"BUSY":       stream.Transient, // somebody's script runs
	"OOM":        stream.Transient, // memory is out, and the policy spares what has no expiry
	"MISCONF":    stream.Transient, // it can't persist, for want of disk perhaps
	"READONLY":   stream.Transient, // a replica: a failover is under way
	"NOREPLICAS": stream.Transient,
	"MASTERDOWN": stream.Transient,
	"TRYAGAIN":   stream.Transient,
	"NOAUTH":     stream.Usage,
	"WRONGPASS":  stream.Usage,
	"NOPERM":     stream.Usage,
	"WRONGTYPE":  stream.Usage,
}

var advice = map[string]string{
	"NOAUTH":    "; check the setting password and what it refers to",
	"WRONGPASS": "; check the settings username and password and what they refer to",
	"NOPERM":    "; grant the user what docs/targets/redis.md lists",
	"WRONGTYPE": "; a key where a row belongs is no hash: remove it, or choose another prefix",
	"READONLY":  "; the url leads to a replica",
}

// tooMany has no word of its own.
const tooMany = "ERR max number of clients"

// classed gives a failure of the client its class; nil stays nil. What is no answer of the server is an outage.
func (s *store) classed(doing string, err error) error {
	var known *stream.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	op := "redis: " + doing
	answer, ok := rueidis.IsRedisErr(err)
	if !ok {
		return &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	text := answer.Error()
	word, _, _ := strings.Cut(text, " ")
	kind, listed := kinds[word]
	switch {
	case strings.HasPrefix(text, tooMany), s.opened.Load() && (word == "WRONGPASS" || word == "NOAUTH"):
		kind = stream.Transient // a rotated password is on its way
	case !listed:
		kind = stream.Internal
	}
	return stream.Errorf(kind, op, "%w%s", err, advice[word])
}
