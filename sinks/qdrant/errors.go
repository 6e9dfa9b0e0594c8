package qdrant

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/freshet-dev/freshet/stream"
)

// kinds are the classes of a server's answers; others are Internal. A collection that is gone may be on its way: a twin
// that makes it anew raises the epoch first, so the next attempt is refused, or Open tells.
var kinds = map[codes.Code]stream.ErrorKind{
	codes.Unavailable:        stream.Transient,
	codes.DeadlineExceeded:   stream.Transient,
	codes.Canceled:           stream.Transient,
	codes.Aborted:            stream.Transient,
	codes.Internal:           stream.Transient, // also a full disk
	codes.Unknown:            stream.Transient,
	codes.ResourceExhausted:  stream.Transient, // the server's limit of requests
	codes.NotFound:           stream.Transient,
	codes.Unauthenticated:    stream.Usage,
	codes.PermissionDenied:   stream.Usage,
	codes.InvalidArgument:    stream.Usage,
	codes.FailedPrecondition: stream.Usage,
	codes.OutOfRange:         stream.Usage,
	codes.AlreadyExists:      stream.Usage,
	codes.Unimplemented:      stream.Usage,
}

// classed gives a failure of the client its class; nil stays nil.
func classed(doing string, err error) error {
	var known *stream.Error
	var limited interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &limited):
		code := limited.GRPCStatus().Code()
		if code == codes.Unauthenticated || code == codes.PermissionDenied {
			return stream.Errorf(kinds[code], "qdrant: "+doing, "%w; check the setting api_key and what it refers to", err)
		}
		return &stream.Error{Op: "qdrant: " + doing, Kind: kinds[code], Err: err}
	}
	return &stream.Error{Op: "qdrant: " + doing, Kind: stream.Transient, Err: err} // a limit of requests, without its status
}
