package neo4j

import (
	"context"
	"fmt"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Bounds of one statement; a batch that is larger takes several in its transaction.
const (
	maxRows  = 1000
	maxBytes = 4 << 20
)

// put is one row to be written. Invariant 3: it takes effect only where the version held is below guard.
type put struct {
	stream.RowWrite
	guard int64
}

// lastOf gives the last write of every row in b, by table, sorted.
func (s *Sink) lastOf(b stream.Batch) (map[*table][]put, error) {
	puts := map[*table][]put{}
	for name, rows := range place.LastWrites(b) {
		t := s.tables[name]
		if t == nil {
			return nil, stream.Errorf(stream.Internal, s.op("write to"), "it does not keep table %s", name)
		}
		for _, r := range rows {
			puts[t] = append(puts[t], put{r, r.Version.Pack()})
		}
	}
	return puts, nil
}

// write writes rows, and brings what is derived from them in step.
func (s *Sink) write(ctx context.Context, tx txn, partition int32, puts map[*table][]put) error {
	d := derivation{sink: s, tx: tx, fresh: map[*table][]identity{}}
	if err := d.begin(ctx, puts); err != nil {
		return err
	}
	for _, t := range s.order {
		upserts, deletes := split(puts[t])
		var err error
		if t.derived() {
			err = d.writeRows(ctx, t, partition, upserts, deletes)
		} else {
			err = d.writeNodes(ctx, t, partition, upserts, deletes)
		}
		if err != nil {
			return err
		}
	}
	return d.end(ctx, puts)
}

func split(puts []put) (upserts, deletes []put) {
	for _, p := range puts {
		if p.Delete {
			deletes = append(deletes, p)
		} else {
			upserts = append(upserts, p)
		}
	}
	return upserts, deletes
}

// writeNodes writes rows of a table that is simply nodes.
func (d *derivation) writeNodes(ctx context.Context, t *table, partition int32, upserts, deletes []put) error {
	remove := "UNWIND $rows AS u MATCH " + t.match("n", "u.id") + " WHERE n." + versionKey + " < u.guard DETACH DELETE n"
	if _, err := d.each(ctx, t, deletes, remove, nil, func(put) (args, int, error) { return args{}, 0, nil }); err != nil {
		return err
	}
	upsert := "UNWIND $rows AS u MERGE " + t.match("n", "u.id") + " WITH n, u, n." + versionKey + " IS NULL AS fresh WHERE coalesce(n." +
		versionKey + ", -1) < u.guard SET n = u.properties WITH u, fresh WHERE fresh RETURN u.id[0], u.id[1]"
	rows, err := d.each(ctx, t, upserts, upsert, nil, func(p put) (args, int, error) {
		properties, err := t.properties(p.Columns)
		if err != nil {
			return nil, 0, err
		}
		properties[documentKey], properties[keyKey] = p.Document, p.Key
		properties[versionKey], properties[partitionKey] = p.Version.Pack(), int64(partition)
		if p.Lineage != nil {
			properties[lineageKey] = string(p.Lineage)
		}
		return args{"properties": properties}, sizeOf(p.Columns), nil
	})
	if t.ends {
		d.fresh[t] = append(d.fresh[t], identities(rows)...)
	}
	return err
}

// writeRows writes the rows of a derived table, which lie apart from what readers see.
func (d *derivation) writeRows(ctx context.Context, t *table, partition int32, upserts, deletes []put) error {
	row := "(r:" + rowLabel + " {table: $table, document: u.id[0], key: u.id[1]})"
	common := args{"table": d.sink.rowTable(t), "partition": int64(partition)}
	remove := "UNWIND $rows AS u MATCH " + row + " WHERE r.version < u.guard DELETE r"
	if _, err := d.each(ctx, t, deletes, remove, common, func(put) (args, int, error) { return args{}, 0, nil }); err != nil {
		return err
	}
	upsert := "UNWIND $rows AS u MERGE " + row + " WITH r, u WHERE coalesce(r.version, -1) < u.guard SET r.version = u.version, " +
		"r.partition = $partition, r.lineage = u.lineage, r.columns = u.columns, r.begins = u.begins, r.ends = u.ends"
	_, err := d.each(ctx, t, upserts, upsert, common, func(p put) (args, int, error) {
		if _, err := t.properties(p.Columns); err != nil {
			return nil, 0, err
		}
		u := args{"version": p.Version.Pack(), "lineage": lineageText(p.Lineage), "columns": pack(p.Columns), "begins": nil, "ends": nil}
		if t.edge != nil {
			if l := t.link(p.Document, p.Columns); l != (link{}) {
				u["begins"], u["ends"] = t.edge.from.table.ref(l.from), t.edge.to.table.ref(l.to)
			}
		}
		return u, sizeOf(p.Columns), nil
	})
	return err
}

// each runs a statement over all rows, in pieces, and returns what it returns.
func (d *derivation) each(ctx context.Context, t *table, puts []put, cypher string, common args,
	row func(put) (values args, size int, err error)) (out [][]any, err error) {
	var piece []any
	bytes := 0
	for i, p := range puts {
		u, size, err := row(p)
		if err == nil {
			err = checkIdentity(p.RowID)
		}
		if err != nil {
			return nil, refuse(t, p.RowID, err)
		}
		u["id"], u["guard"] = identity{p.Document, p.Key}.pair(), p.guard
		piece, bytes = append(piece, u), bytes+size
		if i < len(puts)-1 && len(piece) < maxRows && bytes < maxBytes {
			continue
		}
		a := args{"rows": piece}
		for k, v := range common {
			a[k] = v
		}
		rows, err := d.tx.run(ctx, cypher, a)
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", t.decl.Name, err)
		}
		out, piece, bytes = append(out, rows...), nil, 0
	}
	return out, nil
}

func checkIdentity(id stream.RowID) error {
	if len(id.Document)+len(id.Key) > maxIdentity {
		return fmt.Errorf("document ID and key have %d bytes together, this target takes %d", len(id.Document)+len(id.Key), maxIdentity)
	}
	if err := checkText(id.Document); err != nil {
		return err
	}
	return checkText(id.Key)
}

// refuse says which row the target can't hold. It stops: skipping the row would lose it, changing it would lie.
func refuse(t *table, id stream.RowID, err error) error {
	return &stream.Error{Op: "write to table " + t.decl.Name + " in neo4j", Doc: id.Document, Kind: stream.Usage,
		Err: fmt.Errorf("%w; change the flow so that it does not produce this row", err)}
}

func identities(rows [][]any) []identity {
	ids := make([]identity, len(rows))
	for i, r := range rows {
		ids[i].document, _ = r[0].(string)
		ids[i].key, _ = r[1].(string)
	}
	return ids
}

func lineageText(lineage []byte) any {
	if lineage == nil {
		return nil
	}
	return string(lineage)
}

// pack and unpack keep columns in one property, exactly.
func pack(columns []stream.Value) []byte { return stream.AppendValue(nil, stream.ListOf(columns...)) }

func unpack(packed any, columns int) ([]stream.Value, error) {
	b, _ := packed.([]byte)
	list, err := stream.DecodeValue(b)
	if err == nil && list.Len() != columns {
		err = fmt.Errorf("it has %d columns, the table %d", list.Len(), columns)
	}
	if err != nil {
		return nil, fmt.Errorf("a row of the bookkeeping can't be read (%w); rebuild the target", err)
	}
	out := make([]stream.Value, columns)
	for i := range out {
		out[i] = list.At(i)
	}
	return out, nil
}

// sizeOf estimates what columns take on the wire.
func sizeOf(columns []stream.Value) int {
	size := 64
	for _, v := range columns {
		switch v.Kind() {
		case stream.String, stream.Bytes:
			size += len(v.Str())
		case stream.Vector:
			size += 3 * len(v.Raw())
		case stream.List, stream.Map, stream.Sparse, stream.MultiVector:
			size += len(stream.AppendValue(nil, v))
		default:
			size += 12
		}
	}
	return size
}

// rowTable names a table in the nodes that hold rows and stages.
func (s *Sink) rowTable(t *table) string { return s.owner + "/" + t.decl.Name }
