package embed

import (
	"fmt"
	"net/http"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// refusal makes an error of an answer that isn't 200. It quotes the server, without the key.
func refusal(op string, resp *http.Response, key string) error {
	kind, advice := classify(resp.StatusCode)
	return &stream.Error{Op: op, Kind: kind, RetryAfter: stream.ParseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err: fmt.Errorf("the server answers %d%s%s", resp.StatusCode, advice, stream.Explanation(resp.Body, key))}
}

func classify(status int) (kind stream.ErrorKind, advice string) {
	switch {
	case status == http.StatusTooManyRequests:
		return stream.Throttled, ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return stream.Unauthorised, " (check api_key)"
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return stream.Invalid, ""
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly:
		return stream.Transient, ""
	case status == http.StatusNotFound:
		return stream.Usage, " (check base_url, and that the server has the model)"
	}
	return stream.Usage, " (check base_url)"
}
