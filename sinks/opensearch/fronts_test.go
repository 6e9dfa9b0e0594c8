package opensearch_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestFront: what is shown next is refreshed before, and an alias that was altered by hand, so that it shows tombstones, does not count, and is put right.
func TestFront(t *testing.T) {
	p := newPlace(t)
	edition := sinktest.Notes
	edition.Name = stream.EditionName("notes", 1)
	sink, err := p.sink([]stream.TargetTable{{Table: edition, Front: "notes"}})
	must(t, err)
	w := sinktest.NewScribe(t, sink, edition)
	p.ask(t, http.MethodPut, p.index(edition.Name)+"/_settings", `{"index":{"refresh_interval":"-1"}}`)
	w.Apply("a=one", "b=one")
	w.Apply("b")
	for _, when := range []string{"when it is new", "after it was altered"} {
		must(t, sink.(stream.Fronter).Show(t.Context(), []string{edition.Name}))
		if seen := p.texts(t, "notes"); !slices.Equal(seen, []string{"one"}) {
			t.Errorf("readers of the front see %v %s", seen, when)
		}
		p.ask(t, http.MethodPost, "/_aliases", fmt.Sprintf(`{"actions":[{"add":{"index":"%[1]s%[2]s~1","alias":"%[1]snotes"}}]}`, p.prefix, edition.Name))
		shown, err := sink.(stream.Fronter).Shown(t.Context())
		if must(t, err); len(shown) > 0 {
			t.Errorf("the altered front shows %v, want nothing", shown)
		}
	}
}
