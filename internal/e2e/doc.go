// Package e2e runs whole flows through the built binary, as a user does, and looks at what lies at the broker, at the
// model server and in the target. Each test says which promise it holds; nothing here knows how Freshet does it.
package e2e
