package split

import (
	"fmt"
	"sync"

	"github.com/tiktoken-go/tokenizer"

	"github.com/freshet-dev/freshet/stream"
)

// counter counts a text's tokens. It is safe for concurrent use.
type counter func(text string) (int, error)

// encodings are shared by all splitters of the process.
var encodings = map[string]*encoding{
	string(tokenizer.Cl100kBase): newEncoding(tokenizer.Cl100kBase),
	string(tokenizer.O200kBase):  newEncoding(tokenizer.O200kBase),
}

func counterOf(name string) (counter, error) {
	e, known := encodings[name]
	if !known {
		return nil, fmt.Errorf("encoding %q is unknown", name)
	}
	return e.count, nil
}

// Tokens counts a text's tokens by the vocabulary cl100k_base.
func Tokens(text string) (int, error) { return encodings[string(tokenizer.Cl100kBase)].count(text) }

const (
	// Shorter texts are counted as fast as they are looked up.
	shortestKept = 48
	// Counts kept in each of the two generations: at most 3 MiB together.
	mostKept = 1 << 15
)

// encoding counts by one vocabulary, which it loads when it is first used (tens of milliseconds). It remembers counts,
// because most parts of an edited document are those of the version before, and counting is most of a splitter's work.
// A count that was not asked for while mostKept others were added is forgotten.
type encoding struct {
	load func() (tokenizer.Codec, error)

	mu         sync.Mutex
	young, old map[stream.Fingerprint]int
}

func newEncoding(name tokenizer.Encoding) *encoding {
	return &encoding{
		load:  sync.OnceValues(func() (tokenizer.Codec, error) { return tokenizer.Get(name) }),
		young: map[stream.Fingerprint]int{},
	}
}

func (e *encoding) count(text string) (int, error) {
	codec, err := e.load()
	if err != nil {
		return 0, err
	}
	if len(text) < shortestKept {
		return codec.Count(text)
	}
	key := stream.FingerprintBytes([]byte(text))
	if n, known := e.recall(key); known {
		return n, nil
	}
	n, err := codec.Count(text)
	if err == nil {
		e.keep(key, n)
	}
	return n, err
}

func (e *encoding) recall(key stream.Fingerprint) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n, known := e.young[key]; known {
		return n, true
	}
	n, known := e.old[key]
	if known {
		e.add(key, n)
	}
	return n, known
}

func (e *encoding) keep(key stream.Fingerprint, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.add(key, n)
}

// add is called with the lock held.
func (e *encoding) add(key stream.Fingerprint, n int) {
	if len(e.young) >= mostKept {
		e.young, e.old = make(map[stream.Fingerprint]int, mostKept), e.young
	}
	e.young[key] = n
}
