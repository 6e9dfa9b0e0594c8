package lancedb

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/freshet-dev/freshet/stream"
)

// answered is a failure that the server reported.
type answered struct {
	status int
	code   *int // the protocol's own, if it is one of the protocol
	text   string
}

func (a *answered) Error() string { return fmt.Sprintf("status %d, %s", a.status, a.text) }

// refusal reads what the server says; something before it may say it otherwise.
func refusal(status int, text []byte) *answered {
	var said struct {
		Error string `json:"error"`
		Code  *int   `json:"code"`
	}
	if json.Unmarshal(text, &said) != nil || said.Code == nil {
		return &answered{status: status, text: fmt.Sprintf("%.200q", text)}
	}
	return &answered{status, said.Code, fmt.Sprintf("%.500s", said.Error)}
}

// isStatus reports whether the server answered with a status.
func isStatus(err error, status int) bool {
	var a *answered
	return errors.As(err, &a) && a.status == status
}

// isAbsent reports whether the server knows no such table or namespace. What answers without a code of the protocol is no such server.
func isAbsent(err error) bool {
	var a *answered
	return errors.As(err, &a) && a.status == http.StatusNotFound && a.code != nil
}

// kindOf classes an answer. A table that is gone may be on its way: a twin that makes it anew raises the epoch first, so the next
// attempt is refused, or Open tells. A credential that was good before has been rotated, and the new one is on its way.
func (s *store) kindOf(a *answered) stream.ErrorKind {
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout, a.status >= http.StatusInternalServerError,
		a.status == http.StatusConflict, a.status == http.StatusNotFound && a.code != nil:
		return stream.Transient
	case a.status == http.StatusUnauthorized && s.opened.Load():
		return stream.Transient
	}
	return stream.Usage
}

// failed gives an answer its class and what to do about it.
func (s *store) failed(doing string, a *answered) error {
	advice := ""
	switch {
	case a.status == http.StatusUnauthorized:
		advice = "; check the settings api_key and token and what they refer to"
	case a.status == http.StatusForbidden:
		advice = "; let the user make, read, write and drop tables of the namespace"
	case a.status == http.StatusNotFound && a.code == nil:
		advice = "; no server of Lance's REST namespace protocol answers there: check the setting url"
	case a.status == http.StatusNotFound:
		advice = "; if it stays away, start again to have it made and rebuilt"
	}
	return stream.Errorf(s.kindOf(a), "lancedb: "+doing, "%w%s", a, advice)
}
