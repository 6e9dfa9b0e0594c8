package split

import (
	"fmt"
	"sync"

	"github.com/tiktoken-go/tokenizer"
)

// counter counts a text's tokens. It is safe for concurrent use.
type counter func(text string) (int, error)

// encodings load a vocabulary when it is first used (tens of milliseconds), once per process.
var encodings = map[string]func() (tokenizer.Codec, error){
	string(tokenizer.Cl100kBase): sync.OnceValues(func() (tokenizer.Codec, error) { return tokenizer.Get(tokenizer.Cl100kBase) }),
	string(tokenizer.O200kBase):  sync.OnceValues(func() (tokenizer.Codec, error) { return tokenizer.Get(tokenizer.O200kBase) }),
}

func counterOf(encoding string) (counter, error) {
	load, known := encodings[encoding]
	if !known {
		return nil, fmt.Errorf("encoding %q is unknown", encoding)
	}
	return func(text string) (int, error) {
		codec, err := load()
		if err != nil {
			return 0, err
		}
		return codec.Count(text)
	}, nil
}
