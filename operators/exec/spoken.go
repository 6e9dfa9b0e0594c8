package exec

import (
	"bufio"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// longestWords is the length in bytes of a line that is logged; the rest is dropped.
const longestWords = 1000

// spoken is what a worker writes to its standard error: it goes to the log, line by line.
type spoken struct {
	from    *os.File
	secrets []string
	log     *slog.Logger

	mu   sync.Mutex
	last string
}

// listen logs until the end, and closes the pipe.
func (s *spoken) listen() {
	defer func() { _ = s.from.Close() }() // a pipe
	lines := bufio.NewReaderSize(s.from, 16<<10)
	for rest := false; ; {
		part, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		if !rest {
			s.line(string(part))
		}
		rest = more
	}
}

func (s *spoken) line(text string) {
	for _, secret := range s.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "«hidden»")
		}
	}
	text = strings.ToValidUTF8(text[:min(len(text), longestWords)], "")
	if strings.TrimSpace(text) == "" {
		return
	}
	s.log.Info("a worker says", "line", text)
	s.mu.Lock()
	s.last = text
	s.mu.Unlock()
}

// quote is the last line, for an error.
func (s *spoken) quote() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == "" {
		return ""
	}
	return "; the last that it wrote" + stream.Explanation(strings.NewReader(s.last))
}
