package files

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Bounds of one call of Publish.
const (
	batchBytes  = 4 << 20
	batchEvents = 1000
)

// pass compares a part of the directory with the index and publishes the differences.
type pass struct {
	*tree
	watch func(dir string) // called for each real directory before it is listed; nil: none

	asked  map[string]bool // paths to compare, escaped; "": all
	seen   map[string]bool // selected files that are there, escaped
	kept   map[string]bool // directories that could not be listed, escaped: their files stay as they are
	events []Event
	after  []entry // what the index is to know of the events
	bytes  int
	stats  Stats
}

// compare looks at each path, a file, a directory or nothing any more, and publishes what changed.
func (t *tree) compare(ctx context.Context, paths []string, watch func(string)) (Stats, error) {
	p := &pass{tree: t, watch: watch, asked: map[string]bool{}, seen: map[string]bool{}, kept: map[string]bool{}}
	for _, name := range t.withLinks(paths) {
		p.asked[escape(name)] = true
		if err := p.visit(ctx, name); err != nil {
			return p.stats, err
		}
	}
	if err := p.deletions(ctx); err != nil {
		return p.stats, err
	}
	return p.stats, p.flush(ctx)
}

// visit looks at a path below the root.
func (p *pass) visit(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name == "" {
		return p.list(ctx, "", "", false)
	}
	info, err := p.root.Lstat(name)
	if err != nil {
		p.absent(name, err)
		return nil
	}
	return p.enter(ctx, name, name, info, false)
}

// absent notes why a path could not be looked at: unless it is known to be gone, its files stay.
func (p *pass) absent(name string, err error) {
	if notThere(err) {
		delete(p.links, name)
		return
	}
	p.kept[escape(name)] = true
	p.complain(name, err)
}

// enter looks at the file or directory that documents call name and that lies at real; linked: a link led there.
func (p *pass) enter(ctx context.Context, name, real string, info fs.FileInfo, linked bool) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return p.follow(ctx, name, real, linked)
	case info.IsDir():
		if p.options.prunes(escape(name)) {
			return nil
		}
		return p.list(ctx, name, real, linked)
	case info.Mode().IsRegular():
		return p.file(ctx, name, real, info)
	}
	return nil // a device, a socket, a pipe
}

// follow goes where a link leads, if that is inside the root. A link to a directory is not followed into a directory
// above itself, nor below another link: every walk ends.
func (p *pass) follow(ctx context.Context, name, real string, linked bool) error {
	target, info, ok := p.resolve(real)
	if !ok {
		delete(p.links, name)
		return nil
	}
	if info.IsDir() && (linked || target == "" || below(name, target)) {
		return nil
	}
	p.links[name] = link{target, info.IsDir()}
	return p.enter(ctx, name, target, info, true)
}

// below reports whether name is dir or lies in it.
func below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

func (p *pass) list(ctx context.Context, name, real string, linked bool) error {
	if p.watch != nil && !linked {
		p.watch(real) // before the listing, so that nothing is created between the two
	}
	children, err := p.readDir(real)
	if err != nil {
		p.absent(name, err)
		return nil
	}
	for _, c := range children {
		if err := ctx.Err(); err != nil {
			return err
		}
		childName, childReal := path.Join(name, c.Name()), path.Join(real, c.Name())
		info, err := c.Info()
		if err != nil {
			p.absent(childName, err)
			continue
		}
		if err := p.enter(ctx, childName, childReal, info, linked); err != nil {
			return err
		}
	}
	return nil
}

// file compares one file with what is known of it.
func (p *pass) file(ctx context.Context, name, real string, info fs.FileInfo) error {
	doc := escape(name)
	if p.seen[doc] || !p.options.selects(doc) {
		return nil
	}
	known := p.index.known[doc]
	if known.Know == put && known.Settled && known.Stamp == stampOf(info) {
		p.found(doc)
		p.stats.Unchanged++
		return nil
	}
	event, after, ok := p.examine(doc, name, real)
	if !ok {
		return nil // gone meanwhile
	}
	p.found(doc)
	if known.Know == after.Know && known.Content == after.Content {
		p.stats.Unchanged++
		return p.refresh(known, after)
	}
	return p.add(ctx, event, after)
}

func (p *pass) found(doc string) {
	p.seen[doc] = true
	p.stats.Files++
}

// refresh renews the stamp of a file whose content is as published.
func (p *pass) refresh(known, after entry) error {
	if known == after {
		return nil
	}
	return p.index.record(after)
}

func (p *pass) add(ctx context.Context, e Event, after entry) error {
	if len(p.events) == batchEvents || p.bytes > 0 && p.bytes+len(e.Content) > batchBytes {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	p.events, p.after, p.bytes = append(p.events, e), append(p.after, after), p.bytes+len(e.Content)
	return nil
}

// flush publishes the events. Invariant 1: the index learns of them only afterwards.
func (p *pass) flush(ctx context.Context) error {
	if len(p.events) == 0 {
		return nil
	}
	if err := p.index.doubt(p.after); err != nil {
		return err
	}
	if err := p.publisher.Publish(ctx, p.events); err != nil {
		return err
	}
	if err := p.index.record(p.after...); err != nil {
		return err
	}
	p.count()
	p.events, p.after, p.bytes = nil, nil, 0
	return nil
}

func (p *pass) count() {
	for _, e := range p.events {
		switch e.Op {
		case Put:
			p.stats.Published++
		case Delete:
			p.stats.Deleted++
		case Refused:
			p.stats.Refused++
		}
	}
}

// deletions adds the known files that were asked for and are not there, if the root still is.
func (p *pass) deletions(ctx context.Context) error {
	missing := p.missing()
	if err := p.present(); err != nil {
		return err // what was seen then may be of a root that is being taken away
	}
	now := time.Now()
	for _, doc := range missing {
		if err := p.add(ctx, Event{Path: doc, Op: Delete, ModTime: now}, entry{Path: doc, Know: gone}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) missing() []string {
	if p.allFiles() {
		return nil
	}
	var missing []string
	for doc := range p.index.known {
		if !p.seen[doc] && within(p.asked, doc) && !within(p.kept, doc) {
			missing = append(missing, doc)
		}
	}
	slices.Sort(missing)
	return missing
}

// allFiles reports whether every path asked for is a file that is there: the usual case, which must not cost a walk
// over the index.
func (p *pass) allFiles() bool {
	for name := range p.asked {
		if !p.seen[name] {
			return false
		}
	}
	return true
}

// within reports whether the set has name or a directory above it.
func within(set map[string]bool, name string) bool {
	if len(set) == 0 {
		return false
	}
	for name != "." {
		if set[name] {
			return true
		}
		name = path.Dir(name)
	}
	return set[""]
}
