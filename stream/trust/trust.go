// Package trust says which certificates a server of a target, or a broker, may show: the system's, or those of the file that the setting `ca` names.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/freshet-dev/freshet/stream"
)

// Setting declares `ca`.
func Setting() stream.Setting {
	return stream.Setting{Name: "ca", Kind: stream.SettingPath,
		Doc: "PEM file of the certificates to trust instead of the system's, relative to the flow file."}
}

// Config trusts the certificates in the file at path, or the system's when path is "". Errors have kind Usage, and op says what was being done.
func Config(op, path string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if path == "" {
		return c, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Usage, Err: fmt.Errorf("setting ca: %w", err)}
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, stream.Errorf(stream.Usage, op, "setting ca: %s holds no certificate in PEM form", path)
	}
	return c, nil
}
