package guarded_test

import (
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestContract runs on a store in this process, with one condition per row and with one per batch.
func TestContract(t *testing.T) {
	for name, byBatch := range map[string]bool{"guarded by row": false, "guarded by batch": true} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Harness {
				return harness(t, guarded.NewStore().Client(), guard.Options{ByBatch: byBatch}, nil)
			})
		})
	}
}

// TestContractUnderFaults: items fail, requests are refused, answers are lost, all the time; repeated as the delivery
// repeats what is transient, every promise holds.
func TestContractUnderFaults(t *testing.T) {
	for name, byBatch := range map[string]bool{"guarded by row": false, "guarded by batch": true} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(0)
			sinktest.Run(t, func(t *testing.T) sinktest.Harness {
				s := guarded.NewStore()
				seed++
				own := []guarded.Op{guarded.OpRead, guarded.OpAlter, guarded.OpCreate, guarded.OpDrop}
				faults := guarded.Plan{Seed: seed, FailItems: 0.1, Refuse: 0.1, LoseAnswer: 0.1}.Faults()
				s.Inject(func(c guarded.Call) guarded.Fault {
					if slices.Contains(own, c.Op) {
						return guarded.Fault{} // the suite's own
					}
					return faults(c)
				})
				return harness(t, s.Client(), guard.Options{ByBatch: byBatch, Chunk: 40, Wait: time.Microsecond}, sinktest.Patient)
			})
		})
	}
}

// TestContractOverHTTP: the same through a server that keeps the store in a file.
func TestContractOverHTTP(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		s, err := guarded.OpenStore(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s)
		t.Cleanup(func() {
			server.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return harness(t, guarded.Dial(server.URL), guard.Options{}, nil)
	})
}

func harness(t *testing.T, c *guarded.Client, o guard.Options, wrap func(stream.Sink) stream.Sink) sinktest.Harness {
	t.Helper()
	columns := map[string][]stream.Field{}
	return sinktest.Harness{
		New: func(tables []stream.TargetTable) (stream.Sink, error) {
			for _, tt := range tables {
				columns[tt.Table.Name] = tt.Table.Columns
			}
			s, err := guarded.NewSink(c, tables, o)
			if err == nil && wrap != nil {
				return wrap(s), nil
			}
			return s, err
		},
		MakeForeign: func(t *testing.T, table string) { byHand(t, c.Create(t.Context(), guard.Table{As: table})) },
		Alter:       func(t *testing.T, table string) { byHand(t, c.Alter(t.Context(), table, "remark string")) },
		Drop:        func(t *testing.T, table string) { byHand(t, c.Drop(t.Context(), table)) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			for n, f := range columns[row.Table] {
				if f.Name == column {
					byHand(t, c.Edit(t.Context(), row, n, stream.StringOf(text)))
				}
			}
		},
		Is: sinktest.Guarantees{Guarantees: guarded.Spec().Guarantees},
	}
}

func byHand(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
