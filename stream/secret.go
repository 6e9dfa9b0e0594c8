package stream

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Secret is a reference to a secret, "env:NAME" or "file:/path", or a plain value where that is allowed. Its String is
// safe to print; only Resolve reveals.
type Secret struct {
	ref *string // a pointer, since fmt reads fields of fields without asking for their String
}

// SecretRef returns the secret that ref names.
func SecretRef(ref string) Secret { return Secret{&ref} }

func (s Secret) text() string {
	if s.ref == nil {
		return ""
	}
	return *s.ref
}

// IsReference reports whether the secret is kept elsewhere (env:, file:) rather than written out.
func (s Secret) IsReference() bool {
	return strings.HasPrefix(s.text(), "env:") || strings.HasPrefix(s.text(), "file:")
}

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.text() == "" }

// Resolve reads the secret now, so that a rotated one is seen by the next call. A trailing newline of a file is dropped.
func (s Secret) Resolve() (string, error) {
	if name, ok := strings.CutPrefix(s.text(), "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set {
			return "", Errorf(Usage, "read secret "+s.text(), "environment variable %s is not set; set it and start again", name)
		}
		return v, nil
	}
	if path, ok := strings.CutPrefix(s.text(), "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", &Error{Op: "read secret " + s.text(), Kind: Usage, Err: err}
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return s.text(), nil
}

// String returns the reference, or «hidden» for a plain value.
func (s Secret) String() string {
	if s.IsReference() || s.text() == "" {
		return s.text()
	}
	return "«hidden»"
}

// Format prints like String for every verb, so that none reveals anything.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
