package e2e

import (
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const redisFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { online: { redis: { url: "env:REDIS_URL", prefix: features }, tables: { pages: { table: kept } } } }
`

// features reads hashes as a feature server does, which knows nothing of Freshet.
type features struct {
	t      *testing.T
	client rueidis.Client
}

// newFeatures makes a project of one target in a Redis server of its own.
func newFeatures(t *testing.T) (*project, features) {
	t.Helper()
	server := testenv.Redis(t, testenv.RedisOptions{Durable: true})
	p := newProject(t, redisFlow)
	p.env = []string{"REDIS_URL=" + server.URL()}
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return p, features{t, c}
}

// text is that of a document; "" when there is no hash.
func (f features) text(document string) string {
	f.t.Helper()
	row, err := f.client.Do(f.t.Context(), f.client.B().Hgetall().Key("features:kept:"+document).Build()).AsStrMap()
	if err != nil {
		f.t.Fatal(err)
	}
	if len(row) > 0 && len(row["embedding"]) != 4*256 {
		f.t.Errorf("document %s has a vector of %d bytes", document, len(row["embedding"]))
	}
	return strings.TrimSpace(row["text"])
}

func (f features) do(command ...string) {
	f.t.Helper()
	if n, err := f.client.Do(f.t.Context(), f.client.B().Arbitrary(command...).Build()).AsInt64(); err != nil || n > 1 {
		f.t.Fatalf("%q gives %d, %v", command, n, err)
	}
}

// TestRedis: files are kept in step with hashes, by the binary, as they are made, edited and deleted.
func TestRedis(t *testing.T) {
	p, f := newFeatures(t)
	p.write("docs/a.md", "Herons fish at dawn.")
	p.write("docs/b.md", "The pump was painted green.")
	p.devOnce()
	same(t, "hashes", []string{f.text("page/a.md"), f.text("page/b.md")}, []string{"Herons fish at dawn.", "The pump was painted green."})

	p.write("docs/a.md", "Herons sleep at noon.")
	p.remove("docs/b.md")
	p.devOnce()
	same(t, "hashes", []string{f.text("page/a.md"), f.text("page/b.md")}, []string{"Herons sleep at noon.", ""})
}

// TestVerifyRedis: what was removed, added or altered by hand is found and repaired.
func TestVerifyRedis(t *testing.T) {
	p, f := newFeatures(t)
	p.fourPages("online")
	p.planted("online", func() {
		f.do("DEL", "features:kept:page/a.md")
		f.do("HSET", "features:kept:page/b.md", "text", "edited")
		f.do("HSET", "features:kept:page/c.md", "embedding", strings.Repeat("\x00\x00\x80\x3f", 256))
	}, func() {
		f.do("HSET", "features:kept:page/d.md", "_version", "1")
		f.do("COPY", "features:kept:page/a.md", "features:kept:page/none.md")
	})
}
