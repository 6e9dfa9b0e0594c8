package upgrade

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// reader polls the target throughout: a row's version never falls, and a document is never half there.
type reader struct {
	highest map[string]int64
	polls   int
	faults  []string
}

type seen struct {
	document, row       string
	version, rev, parts int64
}

func (r *reader) run(ctx context.Context, url, schema string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := r.poll(ctx, conn, schema); err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}

// poll reads everything in one snapshot.
func (r *reader) poll(ctx context.Context, conn *pgx.Conn, schema string) error {
	var there bool
	err := conn.QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`, schema+".docs", schema+".chunks").Scan(&there)
	if err != nil || !there {
		return err
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(`select _document, 'docs', _version, rev, parts from %[1]s.docs
		union all select _document, 'chunks/' || _key, _version, rev, -1 from %[1]s.chunks`, schema))
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s seen, err error) {
		return s, row.Scan(&s.document, &s.row, &s.version, &s.rev, &s.parts)
	})
	if err != nil {
		return err
	}
	r.polls++
	r.check(all)
	return nil
}

func (r *reader) check(all []seen) {
	chunks, parts, revs := map[string]int64{}, map[string]int64{}, map[string]map[int64]bool{}
	for _, s := range all {
		id := s.document + "/" + s.row
		if s.version < r.highest[id] {
			r.faults = append(r.faults, fmt.Sprintf("%s fell from version %d to %d", id, r.highest[id], s.version))
		}
		r.highest[id] = s.version
		if revs[s.document] == nil {
			revs[s.document] = map[int64]bool{}
		}
		revs[s.document][s.rev] = true
		if s.parts < 0 {
			chunks[s.document]++
		} else {
			parts[s.document] = s.parts
		}
	}
	for document, of := range revs {
		if len(of) != 1 || parts[document] != chunks[document] {
			r.faults = append(r.faults, fmt.Sprintf("half of %s is visible: revisions %v, %d chunks of %d", document, of, chunks[document], parts[document]))
		}
	}
}
