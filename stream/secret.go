package stream

import (
	"fmt"
	"os"
	"strings"
)

// Secret is a reference to a secret, "env:NAME" or "file:/path", or a plain value where that is allowed. Its String is
// safe to print; only Resolve reveals.
type Secret struct{ ref string }

// SecretRef returns the secret that ref names.
func SecretRef(ref string) Secret { return Secret{ref} }

// IsReference reports whether the secret is kept elsewhere (env:, file:) rather than written out.
func (s Secret) IsReference() bool {
	return strings.HasPrefix(s.ref, "env:") || strings.HasPrefix(s.ref, "file:")
}

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.ref == "" }

// Resolve reads the secret now, so that a rotated one is seen by the next call. A trailing newline of a file is dropped.
func (s Secret) Resolve() (string, error) {
	if name, ok := strings.CutPrefix(s.ref, "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set {
			return "", Errorf(Usage, "read secret "+s.ref, "environment variable %s is not set; set it and start again", name)
		}
		return v, nil
	}
	if path, ok := strings.CutPrefix(s.ref, "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", &Error{Op: "read secret " + s.ref, Kind: Usage, Err: err}
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return s.ref, nil
}

// String returns the reference, or «hidden» for a plain value.
func (s Secret) String() string {
	if s.IsReference() || s.ref == "" {
		return s.ref
	}
	return "«hidden»"
}

// GoString hides like String, so that %#v reveals nothing.
func (s Secret) GoString() string { return fmt.Sprintf("stream.Secret(%s)", s) }
