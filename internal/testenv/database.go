package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database is one database of a server, for one test.
type Database struct {
	// Name is unique; it needs no quotes in SQL.
	Name string
	// URL holds the password: keep it out of what is printed.
	URL string
	// Server is where the database lies.
	Server *PostgresServer
}

// NewDatabase makes an empty database with the extension vector for this test; it is dropped, with its replication
// slots, when the test ends.
func (s *PostgresServer) NewDatabase(t testing.TB) *Database {
	t.Helper()
	name := Name(t)
	if err := s.exec(t.Context(), s.URL(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	d := &Database{Name: name, URL: s.urlOf(name), Server: s}
	t.Cleanup(func() { d.drop(t) })
	if err := s.exec(t.Context(), d.URL, "create extension vector"); err != nil {
		t.Fatal(err)
	}
	return d
}

// Exec runs statements on a connection of its own, and ends the test when they fail.
func (d *Database) Exec(t testing.TB, sql string) {
	t.Helper()
	if err := d.Server.exec(t.Context(), d.URL, sql); err != nil {
		t.Fatal(err)
	}
}

// drop leaves a server that is down alone: its data goes with it.
func (d *Database) drop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if !d.Server.process.running() {
		return
	}
	const endSlots = `select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where active_pid is not null and database = current_database();
		select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()`
	if err := d.Server.exec(ctx, d.URL, endSlots); err != nil {
		t.Logf("drop the replication slots of %s: %v", d.Name, err)
	}
	if err := d.Server.exec(ctx, d.Server.URL(), "drop database if exists "+d.Name+" with (force)"); err != nil {
		t.Logf("drop database %s: %v", d.Name, err)
	}
}

// exec runs statements by the simple protocol, so that there may be several.
func (s *PostgresServer) exec(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the test's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("run %.60q: %w", sql, err)
	}
	return nil
}
