package receiver

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// schema: rows are live, or staged by a rebuild; a staged one may say that its row is gone.
const schema = `
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, flow TEXT NOT NULL, target TEXT NOT NULL, columns TEXT NOT NULL, declaration TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS places (flow TEXT, target TEXT, partition INTEGER, body TEXT NOT NULL, PRIMARY KEY (flow, target, partition));
CREATE TABLE IF NOT EXISTS rows (staged INTEGER, tab TEXT, document TEXT, key TEXT, version INTEGER NOT NULL, partition INTEGER NOT NULL,
	gone INTEGER NOT NULL DEFAULT 0, columns TEXT, lineage TEXT, PRIMARY KEY (staged, tab, document, key)) WITHOUT ROWID;`

type request struct {
	Do         string   `json:"do"`
	Flow       string   `json:"flow"`
	Target     string   `json:"target"`
	Partition  int32    `json:"partition"`
	Epoch      int64    `json:"epoch"`
	Writer     string   `json:"writer"`
	Generation int64    `json:"generation"`
	From       int64    `json:"from"`
	To         int64    `json:"to"`
	Upserts    []upsert `json:"upserts"`
	Deletes    []row    `json:"deletes"`
	Place      *place   `json:"place"`
	End        int64    `json:"end"`
	Partitions int32    `json:"partitions"`
	Before     int64    `json:"before"`
	Tables     []table  `json:"tables"`
	Left       []string `json:"left"`
	Replace    bool     `json:"replace"`
	Places     []raised `json:"places"`
}

type row struct {
	Table    string `json:"table"`
	Document string `json:"document"`
	Key      string `json:"key"`
	Version  int64  `json:"version"`
}

type upsert struct {
	row
	Columns json.RawMessage `json:"columns"`
	Lineage json.RawMessage `json:"lineage,omitempty"`
}

type place struct {
	Partition  int32    `json:"partition"`
	Epoch      int64    `json:"epoch"`
	Writer     string   `json:"writer"`
	Topic      string   `json:"topic"`
	Generation int64    `json:"generation"`
	Next       int64    `json:"next"`
	Rebuild    *rebuild `json:"rebuild,omitempty"`
}

type rebuild struct {
	Next  int64 `json:"next"`
	End   int64 `json:"end"`
	Since int64 `json:"since"`
	Below int64 `json:"below"`
}

type raised struct {
	Partition int32    `json:"partition"`
	Was       int64    `json:"was"`
	Epoch     int64    `json:"epoch"`
	Rebuild   *rebuild `json:"rebuild"`
}

type table struct {
	Name        string          `json:"name"`
	Flow        string          `json:"flow"`
	Target      string          `json:"target"`
	Columns     json.RawMessage `json:"columns"`
	Declaration string          `json:"declaration"`
}

// change is one transaction. The first error stays, and nothing is done after it.
type change struct {
	tx  *sql.Tx // it ends with its context
	err error
}

func (c *change) exec(query string, args ...any) {
	if c.err == nil {
		_, c.err = c.tx.Exec(query, args...)
	}
}

// take does all of a request in one transaction, or nothing.
func (r *Receiver) take(ctx context.Context, q *request) any {
	tx, err := r.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	c := &change{tx: tx}
	var p *place
	var no *refusal
	if q.Do == "make" {
		no = c.make(q)
	} else {
		p, no = c.move(q)
	}
	switch {
	case c.err != nil:
		return c.err
	case no != nil:
		return no
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return map[string]*place{"place": p}
}

// move does what the writer of a partition asks for, if the place is as the writer believes.
func (c *change) move(q *request) (*place, *refusal) {
	held := c.place(q)
	p := held
	fits := q.Epoch == p.Epoch && p.Epoch > 0
	switch q.Do {
	case "take":
		fits = q.Epoch > p.Epoch
		p.Epoch, p.Writer = q.Epoch, q.Writer
	case "set":
		if fits = fits && q.Place != nil && q.Place.Epoch > p.Epoch; fits {
			p, p.Partition = *q.Place, q.Partition
			c.emptyStage(q)
		}
	case "write":
		if fits = fits && q.Generation == p.Generation && q.From == p.Next; fits {
			p.Next = q.To
			c.write(q, 0, p.Rebuild)
		}
	case "stage":
		if fits = fits && q.Generation == p.Generation && p.Rebuild != nil && q.From == p.Rebuild.Next; fits {
			p.Rebuild.Next = q.To
			c.write(q, 1, nil)
		}
	case "switch":
		if fits = fits && p.Rebuild != nil && p.Rebuild.End == q.End && p.Rebuild.Next >= q.End; fits {
			c.switchOver(q, p.Rebuild)
			p.Next, p.Rebuild = max(p.Next, q.End), nil
		}
	case "sweep":
		if fits {
			c.sweep(q)
		}
	default:
		return nil, &refusal{status: http.StatusBadRequest, Error: "do " + strconv.Quote(q.Do) + " is not known"}
	}
	if !fits {
		held = c.place(q)
		return nil, &refusal{status: http.StatusConflict, Error: "the place is another", Place: &held}
	}
	c.save(q, p)
	return &p, nil
}

// place is that of the request's partition; one that was never taken has epoch 0.
func (c *change) place(q *request) (p place) {
	p.Partition = q.Partition
	var body []byte
	err := c.tx.QueryRow(`SELECT body FROM places WHERE flow = ? AND target = ? AND partition = ?`, q.Flow, q.Target, q.Partition).Scan(&body)
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if c.err == nil && !errors.Is(err, sql.ErrNoRows) {
		c.err = err
	}
	return p
}

func (c *change) save(q *request, p place) {
	body, err := json.Marshal(p)
	if c.err == nil {
		c.err = err
	}
	c.exec(`INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)`, q.Flow, q.Target, p.Partition, string(body))
}

// ours are the tables that rows of a flow's target lie in.
const ours = ` tab IN (SELECT name FROM tables WHERE flow = ? AND target = ?) `

func (c *change) emptyStage(q *request) {
	c.exec(`DELETE FROM rows WHERE staged = 1 AND partition = ? AND `+ours, q.Partition, q.Flow, q.Target)
}

const upserted = ` ON CONFLICT DO UPDATE SET version = excluded.version, partition = excluded.partition, gone = excluded.gone,
	columns = excluded.columns, lineage = excluded.lineage WHERE `

// write puts the batch's rows over older ones. A delete that a rebuild will not read is noted in its stage, or the switch would bring the row back.
func (c *change) write(q *request, staged int, under *rebuild) {
	for _, u := range q.Upserts {
		c.exec(`INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)`+upserted+`excluded.version > rows.version`,
			staged, u.Table, u.Document, u.Key, u.Version, q.Partition, string(u.Columns), text(u.Lineage))
	}
	for _, d := range q.Deletes {
		c.exec(`DELETE FROM rows WHERE staged = ? AND tab = ? AND document = ? AND key = ? AND version < ?`, staged, d.Table, d.Document, d.Key, d.Version)
		if under != nil && d.Version >= under.Below {
			c.exec(`INSERT INTO rows VALUES (1, ?, ?, ?, ?, ?, 1, NULL, NULL)`+upserted+`excluded.version > rows.version`,
				d.Table, d.Document, d.Key, d.Version, q.Partition)
		}
	}
}

func text(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}

// stagedToo is true of a row that the partition's stage has too.
const stagedToo = ` EXISTS (SELECT 1 FROM rows AS s WHERE s.staged = 1 AND s.tab = held.tab AND s.document = held.document AND s.key = held.key AND s.partition = ?`

// switchOver replaces the rows that the rebuild has read by those that it has staged.
func (c *change) switchOver(q *request, b *rebuild) {
	c.exec(`DELETE FROM rows AS held WHERE staged = 0 AND partition = ? AND version >= ? AND version < ? AND `+ours+`AND NOT`+stagedToo+` AND s.version < ?)`,
		q.Partition, b.Since, b.Below, q.Flow, q.Target, q.Partition, b.Below)
	c.exec(`INSERT INTO rows SELECT 0, tab, document, key, version, partition, 0, columns, lineage FROM rows
		WHERE staged = 1 AND partition = ? AND version < ? AND `+ours+upserted+`rows.version < ?`, q.Partition, b.Below, q.Flow, q.Target, b.Below)
	c.emptyStage(q)
}

// sweep removes rows of older generations, also of partitions that the flow does not have any more.
func (c *change) sweep(q *request) {
	c.exec(`DELETE FROM rows AS held WHERE staged = 0 AND partition % ? = ? AND version < ? AND `+ours+`AND NOT`+stagedToo+`)`,
		q.Partitions, q.Partition, q.Before, q.Flow, q.Target, q.Partition)
}
