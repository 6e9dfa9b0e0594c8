package neo4j

import (
	"context"
	"fmt"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// held is a partition's node: where it is, and its fence.
type held struct {
	place.Place
	run int64 // names the stage; a new number is an empty stage
}

const (
	thePlace    = "(o:" + placeLabel + " {owner: $owner, partition: $partition})"
	returnPlace = " RETURN o.epoch, o.topic_id, o.generation, o.next, o.rebuild_next, o.rebuild_end, o.run"
)

func (s *Sink) placeArgs(partition int32) args {
	return args{"owner": s.owner, "partition": int64(partition)}
}

// lockPlace locks the partition's node to the end of the transaction and then reads it; place.ErrFenced when the epoch is not ours.
func (s *Sink) lockPlace(ctx context.Context, tx txn, partition int32, epoch int64) (held, error) {
	rows, err := tx.run(ctx, "MATCH "+thePlace+" SET o.locked = true WITH o"+returnPlace, s.placeArgs(partition))
	if err != nil {
		return held{}, err
	}
	if len(rows) == 0 {
		return held{}, place.ErrFenced
	}
	h := scanPlace(rows[0])
	if h.Epoch != epoch {
		return h, place.ErrFenced
	}
	return h, nil
}

func scanPlace(row []any) (h held) {
	h.Epoch, _ = row[0].(int64)
	h.TopicID, _ = row[1].(string)
	h.Generation, _ = row[2].(int64)
	h.Next, _ = row[3].(int64)
	h.run, _ = row[6].(int64)
	next, begun := row[4].(int64)
	end, ends := row[5].(int64)
	if begun && ends {
		h.Rebuild = &stream.Rebuild{Next: next, End: end}
	}
	return h
}

// savePlace writes the partition's node, all but the epoch.
func (s *Sink) savePlace(ctx context.Context, tx txn, partition int32, h held) error {
	a := s.placeArgs(partition)
	fields := args{"topic_id": h.TopicID, "generation": h.Generation, "next": h.Next, "run": h.run, "rebuild_next": nil, "rebuild_end": nil}
	if h.Rebuild != nil {
		fields["rebuild_next"], fields["rebuild_end"] = h.Rebuild.Next, h.Rebuild.End
	}
	a["fields"] = fields
	_, err := tx.run(ctx, "MATCH "+thePlace+" SET o += $fields", a)
	return err
}

// Assign raises the partition's epoch (invariant 4). It waits for the node's lock, hence for a zombie's open transaction.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	var h held
	err := s.transact(ctx, longLimit, func(tx txn) error {
		a := s.placeArgs(partition)
		a["fresh"] = args{"flow": s.flow, "target": s.target, "epoch": 0, "topic_id": "", "generation": 0, "next": 0, "run": 0}
		rows, err := tx.run(ctx, "MERGE "+thePlace+" ON CREATE SET o += $fresh SET o.locked = true WITH o SET o.epoch = o.epoch + 1 WITH o"+returnPlace, a)
		if err == nil {
			h = scanPlace(rows[0])
		}
		return err
	})
	if err != nil {
		return stream.Applied{}, s.classed(s.op("take a partition of"), err)
	}
	s.tenures.Take(partition, h.Epoch)
	return h.Applied(), nil
}

// Inspect reads what the database holds of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	var h held
	err := s.transact(ctx, stepLimit, func(tx txn) error {
		rows, err := tx.run(ctx, "MATCH "+thePlace+returnPlace, s.placeArgs(partition))
		if err == nil && len(rows) > 0 {
			h = scanPlace(rows[0])
		}
		return err
	})
	return h.Applied(), s.classed(s.op("inspect"), err)
}

// Adopt records origin and next. Repeatable.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return s.classed(s.op("adopt a rows topic in"), s.guarded(ctx, partition, stepLimit, func(tx txn, h held) error {
		if h.Adopt(origin, next) {
			h.run++
		}
		return s.savePlace(ctx, tx, partition, h)
	}))
}

// stage names where the partition's rows of the rebuild under way lie.
func (s *Sink) stage(partition int32, h held) string {
	return s.stages(partition) + fmt.Sprint(h.run)
}

// stages is how the names of all of the partition's stages begin.
func (s *Sink) stages(partition int32) string { return fmt.Sprintf("%s/%d/", s.owner, partition) }
