package main

import (
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// stores keeps one directory per partition below dir.
type stores struct {
	flow string
	dir  string
	log  *slog.Logger
}

func (s stores) path(partition int32) string {
	return filepath.Join(s.dir, strconv.Itoa(int(partition)))
}

// Open implements kafka.Stores.
func (s stores) Open(partition int32) (kafka.Store, error) {
	return statestore.Open(s.path(partition), statestore.Identity{Flow: s.flow, Partition: partition}, s.log)
}

// Wipe implements kafka.Stores.
func (s stores) Wipe(partition int32) error { return statestore.Wipe(s.path(partition)) }
