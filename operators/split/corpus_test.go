package split

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/stream"
)

// edit is one line of a recorded documentation history.
type edit struct {
	Path string `json:"path"`
	Op   string `json:"op"`
	Text string `json:"text"`
}

// history reads the first limit edits of a corpus beside the repository; the test is skipped when there is none.
func history(t testing.TB, name string, limit int) []edit {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "shared", "corpus", name))
	if err != nil {
		t.Skipf("the corpus %s is not beside the repository", name)
	}
	t.Cleanup(func() { _ = file.Close() })
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(zip)
	lines.Buffer(nil, 64<<20)
	var edits []edit
	for lines.Scan() && (limit == 0 || len(edits) < limit) {
		var e edit
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		edits = append(edits, e)
	}
	return edits
}

// reuse is what replaying a history costs.
type reuse struct{ edits, computed, chunks, live int }

// replay counts the chunks whose text the document's version before did not have.
func replay(t testing.TB, p *splitter, edits []edit) reuse {
	t.Helper()
	var r reuse
	held := map[string]map[string]bool{}
	for _, e := range edits {
		if e.Op != "upsert" {
			delete(held, e.Path)
			continue
		}
		now := map[string]bool{}
		chunks := chunksOf(t, p, e.Text)
		for i := range chunks.Len() {
			text := chunks.At(i).Field("text").Str()
			if !now[text] && !held[e.Path][text] {
				r.computed++
			}
			now[text] = true
		}
		held[e.Path] = now
		r.edits++
		r.chunks += chunks.Len()
	}
	for _, texts := range held {
		r.live += len(texts)
	}
	return r
}

func chunksOf(t testing.TB, p *splitter, source string) stream.Value {
	t.Helper()
	_, offset, err := markdown.FrontMatter(source)
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := p.apply(stream.StringOf(source[offset:]))
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

var full = flag.Bool("full", false, "replay the whole histories, at several smallest sizes of chunks")

// TestCorpusReuse prints what content-defined cuts save over cuts as late as possible (least = most), and fails when
// they cost more chunks than they are worth.
func TestCorpusReuse(t *testing.T) {
	if testing.Short() {
		t.Skip("a long measurement")
	}
	sizes, limit := []int{256, 128}, 400
	if *full {
		sizes, limit = []int{256, 192, 128, 64}, 0
	}
	for _, corpus := range []string{"cocoindex-docs.ndjson.gz", "prometheus-docs.ndjson.gz"} {
		t.Run(corpus, func(t *testing.T) {
			edits := history(t, corpus, limit)
			count, err := counterOf("cl100k_base")
			if err != nil {
				t.Fatal(err)
			}
			costs := map[int]reuse{}
			for _, least := range sizes {
				r := replay(t, &splitter{count: count, max: 256, least: least, sections: markdownSections}, edits)
				t.Logf("%d edits, chunks of %d to 256 tokens: %d of %d computed, %d live", r.edits, least, r.computed, r.chunks, r.live)
				costs[least] = r
			}
			late, chosen := costs[256], costs[128]
			if chosen.computed*100 > late.computed*103 || chosen.live*100 > late.live*110 {
				t.Error("cutting by content no longer pays")
			}
		})
	}
}
