package workload

import (
	"bytes"
	"testing"
)

// TestNoops: events of an order that was not changed differ, but not in their columns; all have about the stated size.
func TestNoops(t *testing.T) {
	o := NewOrders(1000, 1)
	for id := range 1000 {
		columns := after(t, o.event(id, "c").Value)
		for range 5 {
			again := o.event(id, "u")
			if !bytes.Equal(after(t, again.Value), columns) {
				t.Fatalf("columns changed:\n%s\n%s", columns, again.Value)
			}
			if n := len(again.Key) + len(again.Value); n < eventBytes-24 || n > eventBytes+24 {
				t.Fatalf("an event has %d bytes, not about %d: %s", n, eventBytes, again.Value)
			}
		}
		o.revisions[id]++
		if bytes.Equal(after(t, o.event(id, "u").Value), columns) {
			t.Fatalf("a new revision changed nothing: %s", columns)
		}
	}
}

func after(t *testing.T, event []byte) []byte {
	t.Helper()
	from, to := bytes.Index(event, []byte(`"after":`)), bytes.Index(event, []byte(`,"source":`))
	if from < 0 || to < 0 {
		t.Fatalf("no Debezium event: %s", event)
	}
	return event[from:to]
}
