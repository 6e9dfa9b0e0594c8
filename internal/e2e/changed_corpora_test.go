package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// corpora are recorded histories of documents, beside the repository.
var corpora = []string{"cocoindex-docs.ndjson.gz", "prometheus-docs.ndjson.gz"}

// last returns the documents of a corpus as its last commit leaves them, by path.
func last(t testing.TB, corpus string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, c := range commits(t, corpus) {
		for _, e := range c.Edits {
			if delete(all, e.Path); !e.Delete && strings.HasSuffix(e.Path, ".md") {
				all[e.Path] = string(e.Content)
			}
		}
	}
	return all
}

// TestChangedDeclarationOnCorpora: as TestChangedDeclaration, on real documents, with the model's calls counted at a stub of its server.
// FRESHET_CHANGED_KINDS says how many kinds of changes are taken of each corpus, by chance; FRESHET_CHANGED_DOCUMENTS, how many documents.
func TestChangedDeclarationOnCorpora(t *testing.T) {
	kinds, most := scaled(t, "FRESHET_CHANGED_KINDS", 1), scaled(t, "FRESHET_CHANGED_DOCUMENTS", 20)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, corpus := range corpora {
		m := newModelServer(t)
		changes := declarations(m)
		delete(changes, "include") // which files leave shows when the folder is read
		names := slices.Sorted(maps.Keys(changes))
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		documents := last(t, corpus)
		paths := slices.Sorted(maps.Keys(documents))
		random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		paths = paths[:min(most, len(paths))]
		for _, name := range names[:min(kinds, len(names))] {
			t.Run(corpus+"/"+name, func(t *testing.T) {
				changedOnCorpus(t, m, name, changes[name], documents, paths)
			})
		}
	}
}

func changedOnCorpus(t *testing.T, m *modelServer, name string, change []string, documents map[string]string, paths []string) {
	onStub := func(flow string) string {
		return strings.NewReplacer("max_bytes: 4096", "max_bytes: 1000000", "provider: hash",
			fmt.Sprintf("provider: openai, base_url: %q, model: zero, dimensions: %d", m.URL, dimensions)).Replace(flow)
	}
	p := newProject(t, onStub(pageFlow))
	for _, path := range paths {
		p.write("docs/"+path, documents[path])
	}
	first := p.devOnce()
	p.write("flow.yaml", onStub(strings.NewReplacer(change...).Replace(pageFlow)))
	plan := p.plans()
	m.taken() // at first
	report := p.devOnce()
	if unaffected[name] && report.Documents != 0 {
		t.Errorf("%d documents are evaluated again", report.Documents)
	}
	p.foretold(plan, report)
	if n := len(m.taken()); n != plan.Nodes["vector"].Computed {
		t.Errorf("the model was asked for %d inputs, %d were planned", n, plan.Nodes["vector"].Computed)
	}
	p.sameAsFresh(tables...)
	if again := p.devOnce(); again.Documents != 0 {
		t.Errorf("the change was taken over twice: %+v", again)
	}
	t.Logf("%d documents, %d chunks; then %d documents, %d inputs of the model of %d", first.Documents, first.Tables["chunks"].Rows, report.Documents,
		report.Nodes["vector"].Computed, first.Nodes["vector"].Computed)
}
