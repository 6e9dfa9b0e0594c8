package feast

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
	class  string // of Feast's own errors
	text   string
}

func (a *answered) Error() string { return fmt.Sprintf("status %d, %s", a.status, a.text) }

// refusal reads what the server says: a string, which for Feast's own errors is JSON once more; something before it may say it otherwise.
func refusal(status int, text []byte) *answered {
	var said string
	if json.Unmarshal(text, &said) != nil {
		return &answered{status: status, text: fmt.Sprintf("%.200q", text)}
	}
	var own struct{ Class, Message string }
	if json.Unmarshal([]byte(said), &own) != nil || own.Class == "" {
		return &answered{status: status, text: fmt.Sprintf("%.500q", said)}
	}
	return &answered{status, own.Class, fmt.Sprintf("%.500s", own.Message)}
}

// isAbsent reports whether the server knows no such view or push source. What answers without a class is no such server.
func isAbsent(err error) bool {
	var a *answered
	return errors.As(err, &a) && a.class != "" && (a.status == http.StatusNotFound || a.status == http.StatusUnprocessableEntity)
}

// isInternal reports whether the server failed inside: its store may be away, or what it was asked does not fit a view.
func isInternal(err error) bool {
	var a *answered
	return errors.As(err, &a) && a.status == http.StatusInternalServerError
}

// kindOf classes an answer. A view that is gone may be on its way. A token that was good before has been rotated, and the new one is on its way.
func (s *store) kindOf(a *answered) stream.ErrorKind {
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout, a.status >= http.StatusInternalServerError, a.status == http.StatusConflict,
		isAbsent(a), a.status == http.StatusUnauthorized && s.opened.Load():
		return stream.Transient
	}
	return stream.Usage
}

// failed gives an answer its class and what to do about it.
func (s *store) failed(doing string, a *answered) error {
	advice := ""
	switch {
	case a.status == http.StatusUnauthorized:
		advice = "; check the setting token and what it refers to"
	case a.status == http.StatusForbidden:
		advice = "; let the user write and read the online features of the views"
	case isAbsent(a):
		advice = "; apply it in the feature repository, and start again if the view was removed"
	case a.status == http.StatusNotFound:
		advice = "; no feature server of Feast answers there: check the setting url"
	case a.status == http.StatusRequestEntityTooLarge:
		advice = "; raise the limit of what is before the server, or put less into a row"
	}
	return stream.Errorf(s.kindOf(a), "feast: "+doing, "%w%s", a, advice)
}
