package opensearch

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/freshet-dev/freshet/stream"
)

// cause is what the server says went wrong.
type cause struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	By     *cause `json:"caused_by"`
}

func (c *cause) String() string {
	if c == nil {
		return "no reason given"
	}
	text := fmt.Sprintf("%s: %.500s", c.Type, c.Reason)
	if c.By != nil {
		text += ": " + c.By.String()
	}
	return text
}

// answered is a failure that the server reported.
type answered struct {
	status int
	cause  *cause
}

func (a *answered) Error() string { return fmt.Sprintf("status %d, %s", a.status, a.cause) }

// isStatus reports whether the server answered with a status.
func isStatus(err error, status int) bool {
	var a *answered
	return errors.As(err, &a) && a.status == status
}

// blocked is the server's word for an index that takes no writes for now, such as on a full disk.
const blocked = "cluster_block_exception"

// kindOf classes an answer. An index that is gone may be on its way: a twin that makes it anew raises the epoch first, so the next
// attempt is refused, or Open tells. A credential that was good before has been rotated, and the new one is on its way.
func (s *store) kindOf(a *answered) stream.ErrorKind {
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout, a.status >= http.StatusInternalServerError,
		a.status == http.StatusNotFound, a.status == http.StatusConflict, a.cause != nil && a.cause.Type == blocked:
		return stream.Transient
	case a.status == http.StatusUnauthorized && s.opened.Load():
		return stream.Transient
	}
	return stream.Usage
}

// failed gives an answer its class and what to do about it.
func (s *store) failed(doing string, a *answered) error {
	advice := ""
	switch a.status {
	case http.StatusUnauthorized:
		advice = "; check the settings username and password and what they refer to"
	case http.StatusForbidden:
		advice = "; grant the user what docs/targets/opensearch.md lists"
	case http.StatusNotFound:
		advice = "; if it stays away, start again to have it made and rebuilt"
	}
	return stream.Errorf(s.kindOf(a), "opensearch: "+doing, "%w%s", a, advice)
}
