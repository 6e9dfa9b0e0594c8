package split

import (
	"fmt"

	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// settings of every splitter.
func settings() []stream.Setting {
	return []stream.Setting{
		{Name: "max_tokens", Kind: stream.SettingInt, Default: stream.IntOf(256), Min: 16, Max: 100_000, Output: true,
			Doc: "Most tokens of a chunk, its overlap included."},
		{Name: "overlap", Kind: stream.SettingInt, Default: stream.IntOf(0), Min: 0, Max: 50_000, Output: true,
			Doc: "Most tokens that a chunk repeats from the end of the chunk before it in its section; at most half of max_tokens."},
		{Name: "encoding", Kind: stream.SettingString, Default: stream.StringOf("cl100k_base"),
			Enum: []string{"cl100k_base", "o200k_base"}, Output: true, Doc: "Tokenizer that counts."},
	}
}

// section is a span of a text that is cut on its own.
type section struct {
	heading    string
	path       []string
	start, end int
	blocks     []int // where its blocks begin; the first is start
}

// splitter is the operator behind every spec of this package.
type splitter struct {
	name         string
	count        counter
	least        int
	max, overlap int
	sections     func(text string) []section
}

func newSplitter(name string, s stream.Settings, sections func(string) []section) (*splitter, error) {
	if err := checkOverlap(name, s); err != nil {
		return nil, err
	}
	count, err := counterOf(s.String("encoding"))
	if err != nil {
		return nil, stream.Errorf(stream.Usage, name, "%w", err)
	}
	p := &splitter{name: name, count: count, max: s.Int("max_tokens"), overlap: s.Int("overlap"), sections: sections}
	p.least = (p.max - p.overlap) / 2
	return p, nil
}

func checkOverlap(name string, s stream.Settings) error {
	if s.Int("overlap") <= s.Int("max_tokens")/2 {
		return nil
	}
	return fmt.Errorf("%s: overlap %d is more than half of max_tokens %d", name, s.Int("overlap"), s.Int("max_tokens"))
}

// outputType checks what a splitter is given and returns the type of its chunks.
func outputType(name string, in stream.Type, s stream.Settings) (stream.Type, error) {
	if err := checkOverlap(name, s); err != nil {
		return stream.Type{}, err
	}
	text, _ := in.FieldType("text")
	if !single.AcceptsText(in) && !single.AcceptsText(text) {
		return stream.Type{}, fmt.Errorf("%s takes a string, or a map with a string `text` such as parse results, not %s", name, in)
	}
	return chunksType, nil
}

// apply cuts a string, or the text of a map, whose spans are then moved by the map's offset.
func (p *splitter) apply(in stream.Value) (stream.Value, error) {
	text, offset := in, int64(0)
	if in.Kind() == stream.Map {
		text, offset = in.Field("text"), in.Field("offset").Int()
	}
	source, err := single.Text(p.name, text)
	if err != nil {
		return stream.Value{}, err
	}
	chunks := chunker{source: source, offset: offset, ids: map[string]int{}}
	for _, s := range p.sections(source) {
		pieces, err := p.pieces(source, s)
		if err != nil {
			return stream.Value{}, stream.Errorf(stream.Internal, p.name, "count tokens: %w", err)
		}
		chunks.add(s, pieces)
	}
	return stream.ListOf(chunks.out...), nil
}

// usualBytes is more than a token of ordinary text has: a larger section is not counted as a whole.
const usualBytes = 8

func (p *splitter) pieces(source string, s section) ([]piece, error) {
	pack := packer{source: source, count: p.count, least: p.least, most: p.max}
	if s.end-s.start <= p.max*usualBytes {
		whole, _, err := pack.fit([]atom{{start: s.start, end: s.end}}, 1)
		if err != nil || whole.start == whole.end {
			return nil, err
		}
		if whole.tokens <= p.max {
			return []piece{whole}, nil
		}
	}
	pack.most -= p.overlap
	atoms, err := p.atoms(source, s, pack.most)
	if err != nil {
		return nil, err
	}
	pieces, err := pack.pack(atoms)
	if err != nil {
		return nil, err
	}
	return pack.overlap(pieces, p.overlap)
}

func (p *splitter) atoms(source string, s section, limit int) ([]atom, error) {
	a := atomiser{source: source, count: p.count, limit: limit}
	for i, start := range s.blocks {
		end := s.end
		if i+1 < len(s.blocks) {
			end = s.blocks[i+1]
		}
		if err := a.block(start, end); err != nil {
			return nil, err
		}
	}
	return a.atoms, nil
}
