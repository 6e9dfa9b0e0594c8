package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet-dev/freshet/stream"
)

const (
	maxConns = 8
	// declareLock is the advisory lock under which schema, extension and tables are made: "Freshet" as a number.
	declareLock = 0x46726573686574
)

// sessionSettings bound what a stuck session can hold up. A zombie in the middle of a transaction loses its locks after
// half a minute, whether its process is stopped or its host is gone.
const sessionSettings = `SELECT set_config('search_path', $1, false),
set_config('statement_timeout', '10min', false),
set_config('idle_in_transaction_session_timeout', '30s', false),
set_config('tcp_keepalives_idle', '15', false),
set_config('tcp_keepalives_interval', '5', false),
set_config('tcp_keepalives_count', '3', false)`

// config reads the URL now, so that a rotated password is seen by the next connection.
func (s *Sink) config() (*pgx.ConnConfig, error) {
	url, err := s.url.Resolve()
	if err != nil {
		return nil, err
	}
	c, err := pgx.ParseConfig(url)
	if err != nil { // not wrapped: the cause may quote the URL, password and all
		return nil, stream.Errorf(stream.Usage, "configure target postgres",
			"setting url (%s) does not lead to a URL of the form postgres://user@host:5432/database", s.url)
	}
	if _, set := c.RuntimeParams["application_name"]; !set {
		c.RuntimeParams["application_name"] = "freshet"
	}
	return c, nil
}

// connect makes sure of the extension, where vectors need it, and of a pool.
func (s *Sink) connect(ctx context.Context) (*pgxpool.Pool, error) {
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	types, err := s.ensureVectors(ctx, c)
	if err != nil {
		return nil, err
	}
	pc, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	pc.ConnConfig, pc.MaxConns = c, maxConns
	pc.BeforeConnect = func(_ context.Context, now *pgx.ConnConfig) error {
		fresh, err := s.config()
		if err == nil {
			now.Config = fresh.Config
		}
		return err
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		types.register(conn.TypeMap())
		_, err := conn.Exec(ctx, sessionSettings, types.searchPath(s.schema))
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// vectorsNeeded names the types of pgvector that the tables use.
func (s *Sink) vectorsNeeded() map[string]bool {
	needed := map[string]bool{}
	for _, t := range s.order {
		for _, c := range t.columns {
			if c.isVector() {
				needed[c.sql] = true
			}
		}
	}
	return needed
}

// vectorType is one of pgvector's types as this database numbers it.
type vectorType struct {
	Name       string
	OID, Array uint32
	Schema     string // that the extension lies in
}

type vectorTypes []vectorType

// ensureVectors looks up pgvector's types, where tables need them, and makes the extension if it is absent.
func (s *Sink) ensureVectors(ctx context.Context, c *pgx.ConnConfig) (vectorTypes, error) {
	needed := s.vectorsNeeded()
	if len(needed) == 0 {
		return nil, nil
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	types, err := findVectors(ctx, conn)
	if err == nil && len(types) == 0 {
		if err = createExtension(ctx, conn, c.Database); err == nil {
			types, err = findVectors(ctx, conn)
		}
	}
	for _, t := range types {
		delete(needed, t.Name)
	}
	if err == nil && len(needed) > 0 {
		err = stream.Errorf(stream.Usage, "open target postgres", "the server's pgvector lacks a type that the tables need; update it to 0.7 or later")
	}
	return types, err
}

func createExtension(ctx context.Context, conn *pgx.Conn, database string) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(declareLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS vector")
		return err
	})
	if refusal := (*pgconn.PgError)(nil); errors.As(err, &refusal) {
		return stream.Errorf(stream.Usage, "open target postgres", "vector columns need pgvector, and CREATE EXTENSION vector failed; "+
			"install pgvector on the server, or let an administrator create the extension in database %q: %w", database, err)
	}
	return err
}

func findVectors(ctx context.Context, conn *pgx.Conn) (vectorTypes, error) {
	rows, err := conn.Query(ctx, `SELECT t.typname, t.oid, t.typarray, n.nspname FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_type t ON t.typnamespace = n.oid
WHERE e.extname = 'vector' AND t.typname IN ('vector', 'halfvec')`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[vectorType])
}

// register makes pgvector's types known as bytes: they are sent and received in pgvector's own binary form.
func (v vectorTypes) register(m *pgtype.Map) {
	for _, t := range v {
		element := &pgtype.Type{Name: t.Name, OID: t.OID, Codec: pgtype.ByteaCodec{}}
		m.RegisterType(element)
		m.RegisterType(&pgtype.Type{Name: "_" + t.Name, OID: t.Array, Codec: &pgtype.ArrayCodec{ElementType: element}})
	}
}

// searchPath finds pgvector's types and operators in whatever schema the extension was put.
func (v vectorTypes) searchPath(schema string) string {
	if len(v) == 0 {
		return quote(schema)
	}
	return quote(schema) + ", " + quote(v[0].Schema)
}
