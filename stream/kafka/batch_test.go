package kafka_test

import (
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// placeholder is the content of a file that the source did not send again.
const placeholder = "~"

// withPlaceholders decodes files; one whose content is the placeholder keeps the content that is stored.
type withPlaceholders struct{ *schemas.Files }

func (d withPlaceholders) Fields(c *stream.Change) (stream.Value, []string, error) {
	fields, _, err := d.Files.Fields(c)
	if string(c.Image) != placeholder || err != nil {
		return fields, nil, err
	}
	var kept []stream.Entry
	for _, e := range fields.Entries() {
		if e.Key != "content" {
			kept = append(kept, e)
		}
	}
	return stream.MapOf(kept...), []string{"content"}, nil
}

// TestEveryChangeOfABatchIsFolded: a document's last change of a batch does not say all; what it leaves out was said by an
// earlier one of the same batch, which no state held before (invariant 6).
func TestEveryChangeOfABatchIsFolded(t *testing.T) {
	play(t, func(s *scene) {
		s.write("a.md", "one\ntwo")
		s.write("a.md", placeholder)
		s.write("b.md", "three")
		s.write("b.md", "four")
		s.write("b.md", placeholder)
		s.files["a.md"], s.files["b.md"] = "one\ntwo", "four"
		p := s.start(func(c *setup) { c.decoder = withPlaceholders{schemas.NewFiles("page")} })
		s.settle(p)
		s.end(p)
		s.expect()
	})
}
