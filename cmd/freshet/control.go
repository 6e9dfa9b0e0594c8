package main

import "context"

// serveControl starts the process's control HTTP.
func (a *app) serveControl(context.Context) error { return nil }
