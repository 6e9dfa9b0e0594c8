package post

import (
	"fmt"
	"net/http"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// refusal makes an error of an answer that isn't 200. It quotes the server, without the secrets.
func (s *Service) refusal(op string, resp *http.Response, secrets []string) error {
	kind, advice := s.classify(resp.StatusCode)
	return &stream.Error{Op: op, Kind: kind, RetryAfter: stream.ParseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Suspect: s.Suspecting && resp.StatusCode == http.StatusInternalServerError,
		Err:     fmt.Errorf("the server answers %d%s%s", resp.StatusCode, advice, stream.Explanation(resp.Body, secrets...))}
}

func (s *Service) classify(status int) (kind stream.ErrorKind, advice string) {
	switch {
	case status == http.StatusTooManyRequests:
		return stream.Throttled, ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return stream.Unauthorised, " (check " + s.TokenSetting + ")"
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return stream.Invalid, ""
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly:
		return stream.Transient, ""
	case status == http.StatusNotFound:
		return stream.Usage, " (check " + s.URLSetting + s.Missing + ")"
	}
	return stream.Usage, " (check " + s.URLSetting + ")"
}
