package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// connectSchema is a schema as Connect's JsonConverter writes it beside a payload.
type connectSchema struct {
	Type       string            `json:"type"`
	Name       string            `json:"name"`
	Field      string            `json:"field"`
	Parameters map[string]string `json:"parameters"`
	Items      *connectSchema    `json:"items"`
	Values     *connectSchema    `json:"values"`
	Fields     []*connectSchema  `json:"fields"`
}

func (s *connectSchema) field(name string) *connectSchema {
	if s == nil {
		return nil
	}
	for _, f := range s.Fields {
		if f.Field == name {
			return f
		}
	}
	return nil
}

func (s *connectSchema) items() *connectSchema {
	if s == nil {
		return nil
	}
	return s.Items
}

// scale is a Decimal's; 0 for anything else.
func (s *connectSchema) scale() int {
	if s == nil {
		return 0
	}
	n, _ := strconv.Atoi(s.Parameters["scale"])
	return n
}

// rowSchema is the schema of `after`, with the fingerprint that images carry.
type rowSchema struct {
	raw     []byte // of the whole envelope's schema
	id      stream.Fingerprint
	columns map[string]*connectSchema
}

// schemaCache parses each schema once. Its zero value is ready; it is safe for concurrent use.
type schemaCache struct {
	mu     sync.RWMutex
	seed   maphash.Seed
	byHash map[uint64]*rowSchema
	byID   map[stream.Fingerprint]*rowSchema
}

const maxSchemas = 256 // a topic has one per version of its table; beyond this the cache starts anew

// of returns the parsed row schema of an envelope's raw schema. Equal bytes have equal fingerprints.
func (c *schemaCache) of(raw []byte) (*rowSchema, error) {
	c.mu.RLock()
	if c.byHash != nil {
		if s := c.byHash[maphash.Bytes(c.seed, raw)]; s != nil && bytes.Equal(s.raw, raw) {
			c.mu.RUnlock()
			return s, nil
		}
	}
	c.mu.RUnlock()
	s, err := parseRowSchema(raw)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHash == nil || len(c.byHash) >= maxSchemas {
		c.seed, c.byHash, c.byID = maphash.MakeSeed(), map[uint64]*rowSchema{}, map[stream.Fingerprint]*rowSchema{}
	}
	c.byHash[maphash.Bytes(c.seed, raw)] = s
	c.byID[s.id] = s
	return s, nil
}

func (c *schemaCache) get(id stream.Fingerprint) *rowSchema {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

func parseRowSchema(raw []byte) (*rowSchema, error) {
	var envelope struct {
		Fields []json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return nil, errors.New("the value's `schema` is malformed")
	}
	for _, field := range envelope.Fields {
		var s connectSchema
		if err := json.Unmarshal(field, &s); err != nil {
			return nil, errors.New("the value's `schema` is malformed")
		}
		if s.Field == "after" {
			return newRowSchema(raw, field, &s), nil
		}
	}
	return nil, errors.New("the value's `schema` describes no `after`")
}

func newRowSchema(raw, after []byte, s *connectSchema) *rowSchema {
	row := &rowSchema{raw: bytes.Clone(raw), id: stream.FingerprintBytes(after), columns: map[string]*connectSchema{}}
	for _, f := range s.Fields {
		row.columns[f.Field] = f
	}
	return row
}
