package brokertest

import (
	"math/rand/v2"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// random returns text that no compression makes small.
func random(n int) []byte {
	source := rand.New(rand.NewPCG(1, 2))
	out := make([]byte, n)
	for i := range out {
		out[i] = ' ' + byte(source.IntN(95))
	}
	return out
}

func file(path, content string) stream.Record {
	return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Content: []byte(content), Size: int64(len(content))})
}
