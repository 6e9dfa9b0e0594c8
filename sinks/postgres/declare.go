package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

// layoutVersion is raised when the columns beside the declared ones change.
const layoutVersion = 1

// declaration is what _freshet_tables keeps of a table: what it was made from. Left says that the flow stopped keeping
// the table here, so that its rows are out of date.
type declaration struct {
	Layout  int      `json:"layout"`
	Columns []shape  `json:"columns"`
	HNSW    []string `json:"hnsw,omitempty"`
	Left    bool     `json:"left,omitempty"`
}

// shape is a column as Postgres's catalog describes it.
type shape struct {
	Name string `json:"name"`
	Type string `json:"type"`           // of pg_type
	Dims int    `json:"dims,omitempty"` // modifier of a vector
}

// record is a row of _freshet_tables.
type record struct {
	flow, target string
	declaration  declaration
}

func (t *table) declaration() declaration {
	d := declaration{Layout: layoutVersion, HNSW: t.hnsw}
	for _, c := range t.columns {
		d.Columns = append(d.Columns, shape{c.name, c.catalog, c.dims})
	}
	return d
}

func (d declaration) text() (string, error) {
	b, err := json.Marshal(d)
	return string(b), err
}

// Open connects and makes what is absent: extension, schema, bookkeeping, tables. A table that is absent although rows
// were applied before, since it came late or somebody dropped it, counts as changed: made now, it would look complete.
// Repeatable; not concurrent with other calls.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target = flow, target
	if s.pool == nil {
		pool, err := s.connect(ctx)
		if err != nil {
			return nil, classed(s.op("open"), err)
		}
		s.pool = pool
		if s.copyFrom == 0 {
			if s.copyFrom, err = fromWhere(ctx, pool); err != nil {
				return nil, classed(s.op("open"), err)
			}
		}
	}
	var changed []string
	err := s.transact(ctx, func(tx pgx.Tx) (err error) {
		changed, err = s.declare(ctx, tx)
		return err
	})
	if err == nil && len(changed) == 0 {
		err = s.ensureIndexes(ctx)
	}
	return changed, classed(s.op("open"), err)
}

// declare compares every table with its record and with the catalog.
func (s *Sink) declare(ctx context.Context, tx pgx.Tx) (changed []string, err error) {
	if err := s.bookkeeping(ctx, tx); err != nil {
		return nil, err
	}
	records, err := s.records(ctx, tx)
	if err != nil {
		return nil, err
	}
	begun, err := s.begun(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, t := range s.order {
		is, err := s.inspect(ctx, tx, t, records)
		if err != nil {
			return nil, err
		}
		if is == altered || is == absent && begun {
			changed = append(changed, t.decl.Name)
		} else if is == absent {
			err = s.create(ctx, tx, t)
		}
		if err != nil {
			return nil, err
		}
	}
	return changed, s.leave(ctx, tx, records)
}

// begun reports whether any partition has applied something.
func (s *Sink) begun(ctx context.Context, tx pgx.Tx) (yes bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+s.offsets()+` WHERE flow = $1 AND target = $2
AND (next > 0 OR rebuild_end IS NOT NULL))`, s.flow, s.target).Scan(&yes)
	return yes, err
}

// bookkeeping takes the lock under which everything is declared and makes schema and own tables. It looks before it
// creates, since CREATE IF NOT EXISTS asks for rights that a user of existing tables need not have.
func (s *Sink) bookkeeping(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1), set_config('statement_timeout', '0', true)", int64(declareLock)); err != nil {
		return err
	}
	var schema bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", s.schema).Scan(&schema)
	if err != nil {
		return err
	}
	if !schema {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+quote(s.schema)); err != nil {
			return err
		}
	}
	for name, columns := range map[string]string{
		offsetsTable: `flow text COLLATE "C", target text COLLATE "C", partition int, epoch bigint NOT NULL, topic_id text NOT NULL,
generation bigint NOT NULL, next bigint NOT NULL, rebuild_next bigint, rebuild_end bigint, PRIMARY KEY (flow, target, partition)`,
		tablesTable: `name text COLLATE "C" PRIMARY KEY, flow text NOT NULL, target text NOT NULL, declaration jsonb NOT NULL`,
	} {
		if err := s.createAbsent(ctx, tx, name, columns); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) createAbsent(ctx context.Context, tx pgx.Tx, name, columns string) error {
	there, err := s.exists(ctx, tx, name)
	if err != nil || there {
		return err
	}
	_, err = tx.Exec(ctx, "CREATE TABLE "+qualify(s.schema, name)+" ("+columns+")")
	return err
}

func (s *Sink) exists(ctx context.Context, tx pgx.Tx, name string) (there bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2)`, s.schema, name).Scan(&there)
	return there, err
}

// create makes a table and its stage, and records what they were made from. Indexes come once it is filled.
func (s *Sink) create(ctx context.Context, tx pgx.Tx, t *table) error {
	const key = `_document text COLLATE "C" NOT NULL, _key text COLLATE "C" NOT NULL, _version bigint NOT NULL,
_partition int NOT NULL, _lineage jsonb`
	columns := key
	for _, c := range t.columns {
		columns += ", " + c.definition()
	}
	const primary = ", PRIMARY KEY (_document, _key))"
	sql := []string{
		"CREATE TABLE " + t.live.quoted + " (" + columns + primary,
		"DROP TABLE IF EXISTS " + t.staged.quoted,
		"CREATE TABLE " + t.staged.quoted + " (" + columns + ", _deleted boolean NOT NULL DEFAULT false" + primary,
	}
	if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(sql, ";\n")).ReadAll(); err != nil {
		return fmt.Errorf("make table %q: %w", t.name, err)
	}
	return s.note(ctx, tx, t.name, t.declaration())
}

// note writes a table's record.
func (s *Sink) note(ctx context.Context, tx pgx.Tx, name string, d declaration) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+qualify(s.schema, tablesTable)+` (name, flow, target, declaration) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration`, name, s.flow, s.target, text)
	return err
}

// records reads _freshet_tables.
func (s *Sink) records(ctx context.Context, tx pgx.Tx) (map[string]record, error) {
	rows, err := tx.Query(ctx, "SELECT name, flow, target, declaration::text FROM "+qualify(s.schema, tablesTable))
	if err != nil {
		return nil, err
	}
	records := map[string]record{}
	var name, text string
	var r record
	_, err = pgx.ForEachRow(rows, []any{&name, &r.flow, &r.target, &text}, func() error {
		r.declaration = declaration{}
		if err := json.Unmarshal([]byte(text), &r.declaration); err != nil {
			return stream.Errorf(stream.Usage, s.op("open"), "the record of table %q in %s can't be read: %w", name, tablesTable, err)
		}
		records[name] = r
		return nil
	})
	return records, err
}

// leave marks own tables that are no longer kept: taken up again, they would lack what happened meanwhile.
func (s *Sink) leave(ctx context.Context, tx pgx.Tx, records map[string]record) error {
	for _, t := range s.order {
		delete(records, t.name)
	}
	for name, r := range records {
		if r.flow != s.flow || r.target != s.target || r.declaration.Left {
			continue
		}
		r.declaration.Left = true
		if err := s.note(ctx, tx, name, r.declaration); err != nil {
			return err
		}
	}
	return nil
}
