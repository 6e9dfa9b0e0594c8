package stream

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// shownBytes is how much of a server's own explanation an error quotes.
const shownBytes = 300

// Explanation returns the beginning of what an HTTP server says with a refusal, on one line and after a colon; "" when it says nothing.
// Secrets that it repeats are hidden.
func Explanation(body io.Reader, secrets ...string) string {
	raw, _ := io.ReadAll(io.LimitReader(body, 16<<10)) // what could be read is still an explanation
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(raw)), " "), "")
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "«hidden»")
		}
	}
	if len(text) > shownBytes {
		text = strings.ToValidUTF8(text[:shownBytes], "") + "…"
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// ParseRetryAfter reads a Retry-After header, seconds or a date; zero when there is none to obey. It is a day at most, so that no server
// can stop a flow for good.
func ParseRetryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(header), 64)
	if err != nil {
		at, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		seconds = at.Sub(now).Seconds()
	}
	if !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, 86_400) * float64(time.Second))
}

// WithoutURL takes the address off an error of net/http: it can hold a secret.
func WithoutURL(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}
