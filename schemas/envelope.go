package schemas

import (
	"errors"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// envelope is one Debezium value, cut into its raw parts.
type envelope struct {
	schema  []byte // of the whole value, with a wrapper
	payload []byte // the value without its wrapper

	op, after, source   []byte
	status, ddl, tables []byte
	times, columns      int // how many members are ts_*, and how many no case of part names
}

func readEnvelope(value []byte) (envelope, error) {
	e := envelope{payload: value}
	if schema, payload, ok := unwrap(value); ok {
		e.schema, e.payload = schema, payload
	}
	if null(e.payload) {
		return e, nil
	}
	return e, members(e.payload, e.part)
}

func (e *envelope) part(key, value []byte) {
	switch string(key) {
	case "op":
		e.op = value
	case "after":
		e.after = value
	case "source":
		e.source = value
	case "status":
		e.status = value
	case "ddl":
		e.ddl = value
	case "tableChanges":
		e.tables = value
	case "ts_ms", "ts_us", "ts_ns":
		e.times++
	default:
		e.columns++
	}
}

// kind tells data operations from events that are no document's.
func (e *envelope) kind() (op stream.Op, other string, err error) {
	switch string(e.op) {
	case `"c"`, `"u"`, `"r"`:
		return stream.Upsert, "", nil
	case `"d"`:
		return stream.Delete, "", nil
	case `"t"`:
		return stream.Other, "truncate", nil
	case `"m"`:
		return stream.Other, "message", nil
	case "":
		other, err = e.event()
		return stream.Other, other, err
	}
	return stream.Other, "unknown", nil
}

// event names a value without an operation. A row without its envelope is none: to skip it would lose a change.
func (e *envelope) event() (string, error) {
	switch {
	case string(e.status) == `"BEGIN"` || string(e.status) == `"END"`:
		return "transaction", nil
	case e.ddl != nil || e.tables != nil:
		return "schema-change", nil
	case e.times > 0 && e.columns == 0 && e.after == nil && e.source == nil:
		return "heartbeat", nil
	}
	return "", errors.New("no `op`: this is no Debezium envelope " +
		"(records flattened by ExtractNewRecordState are not supported: remove that transform)")
}

// origin returns the source's own position, as text, and its time in ns since 1970, 0 when unknown.
func (e *envelope) origin() (position string, ns int64) {
	if !object(e.source) {
		return "", 0
	}
	var p coordinates
	if members(e.source, p.part) != nil {
		return "", 0
	}
	return p.text(), p.time()
}

// coordinates are the members of `source` that say where and when: Postgres' lsn; MySQL's file, pos and row; SQL
// Server's commit_lsn, change_lsn and event_serial_no; Oracle's scn; otherwise gtid.
type coordinates struct{ lsn, file, pos, row, commit, change, serial, scn, gtid, ms, us, ns []byte }

func (p *coordinates) part(key, value []byte) {
	switch string(key) {
	case "lsn":
		p.lsn = value
	case "file":
		p.file = value
	case "pos":
		p.pos = value
	case "row":
		p.row = value
	case "commit_lsn":
		p.commit = value
	case "change_lsn":
		p.change = value
	case "event_serial_no":
		p.serial = value
	case "scn":
		p.scn = value
	case "gtid":
		p.gtid = value
	case "ts_ms":
		p.ms = value
	case "ts_us":
		p.us = value
	case "ts_ns":
		p.ns = value
	}
}

func (p *coordinates) text() string {
	switch {
	case !null(p.lsn):
		return bare(p.lsn)
	case !null(p.file):
		return joined(p.file, p.pos, p.row)
	case !null(p.commit):
		return joined(p.commit, p.change, p.serial)
	case !null(p.scn):
		return bare(p.scn)
	}
	return bare(p.gtid)
}

func joined(parts ...[]byte) string {
	s := ""
	for _, p := range parts {
		if null(p) {
			break
		}
		if s != "" {
			s += ":"
		}
		s += bare(p)
	}
	return s
}

// bare is a scalar's text, without the quotes of a string.
func bare(raw []byte) string {
	if null(raw) {
		return ""
	}
	if raw[0] == '"' && len(raw) > 1 {
		raw = raw[1 : len(raw)-1]
	}
	return string(raw)
}

func (p *coordinates) time() int64 {
	for _, t := range []struct {
		raw  []byte
		unit int64
	}{{p.ns, 1}, {p.us, 1e3}, {p.ms, 1e6}} {
		if n, err := strconv.ParseInt(bare(t.raw), 10, 64); err == nil {
			return n * t.unit
		}
	}
	return 0
}
