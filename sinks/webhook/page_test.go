package webhook_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestPage: the examples of docs/targets/webhook.md are what is sent and answered.
func TestPage(t *testing.T) {
	g := &gate{}
	b := newBooth(t, g.before)
	passages := stream.Table{Name: "chunks", Columns: []stream.Field{{Name: "embedding", Type: stream.VectorType(stream.F32, 2)},
		{Name: "n", Type: stream.TypeInt}, {Name: "text", Type: stream.TypeString}}}
	as := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "table", Value: stream.StringOf("passages")})}
	s, err := b.sink([]stream.TargetTable{{Table: passages, Settings: as}})
	must(t, err)
	_, err = s.Open(t.Context(), "handbook", "search")
	must(t, err)
	_, err = s.Assign(t.Context(), 0, stream.Origin{})
	must(t, err)
	must(t, s.Adopt(t.Context(), 0, stream.Origin{TopicID: "topic-1", Generation: 1}, 0))
	write := func(document, key string, offset int64, columns ...stream.Value) stream.RowWrite {
		w := stream.RowWrite{RowID: stream.RowID{Table: "chunks", Document: document, Key: key}, Version: stream.Version{Generation: 1, Offset: offset}, Columns: columns}
		if w.Delete = columns == nil; !w.Delete {
			w.Lineage = []byte(`{"document":"page/a.md","offset":12}`)
		}
		return w
	}
	herons := []stream.Value{stream.VectorOf([]float32{0.5, -2}), stream.IntOf(7), stream.StringOf("Herons fish.")}
	must(t, s.Apply(t.Context(), stream.Batch{To: 4, Units: []stream.Unit{
		{Document: "page/a.md", Rows: []stream.RowWrite{write("page/a.md", "9c41", 0), write("page/a.md", "7bf0", 1, herons...)}},
		{Document: "page/b.md", Rows: []stream.RowWrite{write("page/b.md", "", 2, herons...), write("page/b.md", "", 3)}},
	}}))
	state := b.get(t, "?flow=handbook&target=search")
	_, place, _ := bytes.Cut(state, []byte(`"places":[`))
	place, _, _ = bytes.Cut(place, []byte(`],"protocol"`))
	got := []string{plain(t, g.seen[0].body), plain(t, []byte(`{"place":`+string(place)+`}`)), plain(t, state), strings.TrimSpace(string(b.get(t, "?table=passages")))}

	page, err := os.ReadFile("../../docs/targets/webhook.md")
	must(t, err)
	for i, example := range regexp.MustCompile("(?s)```json\n(.*?)\n```").FindAllSubmatch(page, -1) {
		want := string(example[1])
		if i < 3 {
			want = plain(t, example[1])
		}
		if got[i] != want {
			t.Errorf("example %d of the page:\n%s\nis not what was seen:\n%s", i+1, want, got[i])
		}
	}
}

func (b *booth) get(t *testing.T, query string) []byte {
	t.Helper()
	resp, err := http.Get(b.url + query)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return bytes.TrimSpace(body)
}

var (
	epochs  = regexp.MustCompile(`"epoch":\d+`)
	writers = regexp.MustCompile(`"writer":"\w+"`)
)

// plain is JSON without spaces, epochs and writers.
func plain(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	must(t, json.Compact(&b, text))
	return writers.ReplaceAllString(epochs.ReplaceAllString(b.String(), `"epoch":1`), `"writer":"x"`)
}
