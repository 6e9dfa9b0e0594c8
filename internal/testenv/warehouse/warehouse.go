// Package warehouse asks the emulator of Snowflake as anybody does. It is apart from testenv, whose users needn't link the driver.
package warehouse

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/snowflakedb/gosnowflake"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// Client opens connections to a server without TLS, password and key; they end with the test.
func Client(t testing.TB, server *testenv.SnowflakeServer) *sql.DB {
	t.Helper()
	c, err := gosnowflake.ParseDSN("u:pw@" + strings.TrimPrefix(server.URL(), "http://") + "?account=test&protocol=http&disableTelemetry=true&tracing=fatal")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, *c))
	t.Cleanup(func() { _ = db.Close() })
	return db
}
