package embed

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// shownBytes is how much of a server's own explanation an error quotes.
const shownBytes = 300

// refusal makes an error of an answer that isn't 200. It quotes the server, without the key.
func refusal(op string, resp *http.Response, key string) error {
	kind, advice := classify(resp.StatusCode)
	said := quote(resp.Body, key)
	return &stream.Error{Op: op, Kind: kind, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err: fmt.Errorf("the server answers %d%s%s", resp.StatusCode, advice, said)}
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

// quote returns the beginning of a server's explanation on one line.
func quote(body io.Reader, key string) string {
	raw, _ := io.ReadAll(io.LimitReader(body, 16<<10)) // what could be read is still an explanation
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(raw)), " "), "")
	if key != "" {
		text = strings.ReplaceAll(text, key, "«hidden»")
	}
	if len(text) > shownBytes {
		text = strings.ToValidUTF8(text[:shownBytes], "") + "…"
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// retryAfter reads a Retry-After header, seconds or a date; zero when there is none to obey.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(strings.TrimSpace(header), 64); err == nil {
		return clamp(seconds)
	}
	if at, err := http.ParseTime(header); err == nil {
		return clamp(at.Sub(now).Seconds())
	}
	return 0
}

// clamp bounds a wait to a day, so that no server can stop a flow for good.
func clamp(seconds float64) time.Duration {
	if !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, 86_400) * float64(time.Second))
}
