package kafka

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// VerifyConfig is what a comparison of a target with the rows topic is made from.
type VerifyConfig struct {
	Cluster  Cluster
	Topics   Topics
	Target   string
	Logic    stream.Fingerprint                            // of the flow's program
	Sink     stream.Sink                                   // opened; a stream.Reader and a stream.Inspector
	Tables   map[string]stream.Table                       // that the target keeps
	Keep     map[string]func([]stream.Value) (bool, error) // as the delivery's
	Ledger   Ledger                                        // empty; the caller closes it
	Progress func(doing string, done, total int64)         // may be nil; a total of 0 is not known
	Differs  func(Difference) error                        // told each difference, in order of table, document, key; its error ends it
}

// Ledger keeps on disk what a comparison has to remember of each row, in order of key; see statestore.Store.
type Ledger interface {
	Apply(entries []stream.StateEntry, c stream.Checkpoint) error
	Scan(prefix, from []byte, each func(key, value []byte) (more bool, err error)) error
}

// Verified is the outcome of a comparison.
type Verified struct {
	Rows        int64                    // of the target, all that were read
	Differences map[DifferenceKind]int64 // by kind; every kind has its entry
	// Unjudged are rows that differ and may do so rightly: their last change was not applied when the comparison began, or came while it ran.
	Unjudged int64
	Behind   int64 // records of the rows topic that were not applied when the comparison began
}

// Verify compares every row that a target holds, vectors included, with what the rows topic says of it; lineage is left
// out. It takes no fence and writes nothing to the target or to Kafka, and deliveries may go on meanwhile: what changes is
// counted as not judged rather than taken for a difference. Of each row it keeps some bytes in the ledger, so that memory
// stays bounded, but for what the sink itself needs to read in order.
//
// Three steps make a difference sure. The rows topic is read up to its end, noting which records the target had applied
// before. Then the target's rows are read; what differs is noted, unless the row's last record was not applied. Then the
// records since are read: the last record of a row is either among those or is what the first step read, so whatever
// differs and is not among them is no matter of time.
func Verify(ctx context.Context, c VerifyConfig) (Verified, error) {
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	v := newVerification(c)
	reader, ok := c.Sink.(stream.Reader)
	if !ok || v.inspector == nil {
		return v.out, stream.Errorf(stream.Usage, v.op(), "this kind of target can't be read back")
	}
	if err := v.inspect(ctx); err != nil {
		return v.out, err
	}
	at, err := v.expect(ctx)
	if err != nil {
		return v.out, err
	}
	if err := v.compareAll(ctx, reader); err != nil {
		return v.out, err
	}
	if err := v.inspect(ctx); err != nil { // that it is still the same target
		return v.out, err
	}
	if err := v.forgive(ctx, at); err != nil {
		return v.out, err
	}
	return v.out, v.report()
}

// verification is a comparison under way.
type verification struct {
	c         VerifyConfig
	inspector stream.Inspector
	rounder   stream.Rounder
	names     []string // of the tables, in order; the ledger has their numbers
	units     units    // for what a record means
	applied   Ends     // by partition: next record to be applied when it began
	swept     map[int32]bool
	old       bool // rows of older generations may be there rightly
	pending   []stream.StateEntry
	bytes     int    // of pending
	noted     int64  // rows noted as different
	last      []byte // the ledger's key of the last one
	out       Verified
}

func newVerification(c VerifyConfig) *verification {
	v := &verification{c: c, names: slices.Sorted(maps.Keys(c.Tables)), swept: map[int32]bool{},
		units: units{tables: c.Tables, keep: c.Keep, gen: c.Topics.Generation.Generation, logic: c.Logic.String()},
		out:   Verified{Differences: map[DifferenceKind]int64{Missing: 0, Extra: 0, EditedColumn: 0, EditedVector: 0, OtherVersion: 0}}}
	v.inspector, _ = c.Sink.(stream.Inspector)
	v.rounder, _ = c.Sink.(stream.Rounder)
	return v
}

func (v *verification) op() string { return "verify target " + v.c.Target }

// inspect asks how far the target is. A second time it must not have gone back.
func (v *verification) inspect(ctx context.Context) error {
	now := Ends{}
	for p := range v.c.Topics.Partitions {
		held, err := v.inspector.Inspect(ctx, p)
		if err != nil {
			return err
		}
		if held.Rebuild != nil {
			return stream.Errorf(stream.Usage, v.op(), "its partition %d is being rebuilt; verify it when that is done (a rebuild that was "+
				"interrupted goes on when the flow runs)", p)
		}
		if held.TopicID == v.c.Topics.RowsID && held.Generation == v.units.gen {
			now[p] = held.Next
		}
		if now[p] < v.applied[p] {
			return stream.Errorf(stream.Usage, v.op(), "it was reset or put back to a backup meanwhile; verify it again")
		}
	}
	if v.applied == nil {
		v.applied = now
	}
	return nil
}

// expect reads the rows topic into the ledger, and returns up to where.
func (v *verification) expect(ctx context.Context) (Ends, error) {
	ends, err := v.c.Cluster.RowsEnds(ctx, v.c.Topics)
	if err != nil {
		return nil, err
	}
	var done, total int64
	for _, end := range ends {
		total += end
	}
	reached := Ends{}
	at, err := v.c.Cluster.scanFrom(ctx, rowsTopic(v.c.Topics.Flow), nil, func(r *kgo.Record) error {
		done += r.Offset + 1 - reached[r.Partition]
		reached[r.Partition] = r.Offset + 1
		v.c.Progress("records", min(done, total), total)
		return v.take(r)
	})
	if err != nil {
		return nil, err
	}
	for p, end := range at {
		if v.applied[p] > end {
			return nil, stream.Errorf(stream.Usage, v.op(), "it has applied offset %d of partition %d, the rows topic ends at %d: the topic lost "+
				"records; run: freshet reset -f FLOW", v.applied[p], p, end)
		}
		v.out.Behind += end - v.applied[p]
		v.old = v.old || v.units.gen > 1 && !v.swept[p]
	}
	return at, v.flush()
}

// take notes what a record of the rows topic says.
func (v *verification) take(r *kgo.Record) error {
	rec := fromKafka(r)
	table, _, _, _, ok := schemas.RowHeader(rec)
	if !ok {
		name, generation, mark := schemas.DecodeMark(rec)
		if mark && name == schemas.MarkGenerationPass && generation == v.units.gen && r.Offset < v.applied[r.Partition] {
			v.swept[r.Partition] = true
		}
		return nil
	}
	if _, kept := v.c.Tables[table]; !kept {
		return nil
	}
	w, err := v.units.write(rec)
	if err == nil && v.rounder != nil && !w.Delete {
		w.Columns, err = v.rounder.Round(w.Table, w.Columns)
	}
	if err != nil {
		return unreadable(r, err)
	}
	return v.expected(r.Partition, w, r.Offset < v.applied[r.Partition])
}

// forgive takes differences back whose rows have records from at on.
func (v *verification) forgive(ctx context.Context, at Ends) error {
	_, err := v.c.Cluster.scanFrom(ctx, rowsTopic(v.c.Topics.Flow), at, func(r *kgo.Record) error {
		rec := fromKafka(r)
		if _, _, _, _, ok := schemas.RowHeader(rec); !ok {
			return nil
		}
		id, err := schemas.ParseRowKey(rec.Key)
		if err != nil {
			return unreadable(r, err)
		}
		return v.changed(id)
	})
	if err != nil {
		return err
	}
	return v.flush()
}
