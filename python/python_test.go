// Package python_test runs the tests of the Python package, so that `go test ./...` does.
package python_test

import (
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestPackage runs python/tests.
func TestPackage(t *testing.T) { testenv.PythonTests(t, ".") }
