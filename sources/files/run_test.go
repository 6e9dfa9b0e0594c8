package files

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/freshet-dev/freshet/stream"
)

func TestRunFollowsEdits(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "A")
	p.run()
	p.topic.wait(t, "a.md=A")
	p.write("a.md", "A2")
	p.topic.wait(t, "a.md=A2")
	p.write("new/deep/b.md", "B")
	p.topic.wait(t, "a.md=A2 new/deep/b.md=B")
	p.write("new/deep/c.md", "C") // in a directory that is watched by now
	p.topic.wait(t, "a.md=A2 new/deep/b.md=B new/deep/c.md=C")
	p.must(os.RemoveAll(p.at("new")))
	p.topic.wait(t, "a.md=A2")
	p.write("new/b.md", "again")
	p.topic.wait(t, "a.md=A2 new/b.md=again")
	p.write("new/b.md", "again, and edited")
	p.topic.wait(t, "a.md=A2 new/b.md=again, and edited")
}

func TestRunFollowsRenames(t *testing.T) {
	p := newPlace(t)
	p.write("one/sub/a.md", "A")
	p.write("b.md", "B")
	p.run()
	p.topic.wait(t, "b.md=B one/sub/a.md=A")
	p.rename("b.md", "c.md")
	p.topic.wait(t, "c.md=B one/sub/a.md=A")
	p.write("c.md.tmp~", "C") // as editors save
	p.rename("c.md.tmp~", "c.md")
	p.topic.wait(t, "c.md=C one/sub/a.md=A")
	for i := range 5 {
		from, to := fmt.Sprintf("d%d", i), fmt.Sprintf("d%d", i+1)
		if i == 0 {
			from = "one"
		}
		p.rename(from, to)
		p.topic.wait(t, "c.md=C "+to+"/sub/a.md=A")
		p.write(to+"/sub/a.md", fmt.Sprint(i))
		p.topic.wait(t, fmt.Sprintf("c.md=C %s/sub/a.md=%d", to, i))
		p.write(to+"/sub/a.md", "A")
		p.topic.wait(t, "c.md=C "+to+"/sub/a.md=A")
	}
	p.must(os.Rename(p.at("d5"), p.dir+"/elsewhere"))
	p.topic.wait(t, "c.md=C")
	p.must(os.Rename(p.dir+"/elsewhere", p.at("back")))
	p.topic.wait(t, "back/sub/a.md=A c.md=C")
}

// F32, live.
func TestRunSeesAnEditThatKeepsSizeAndTime(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "one")
	p.run()
	p.topic.wait(t, "a.md=one")
	info, err := os.Stat(p.at("a.md"))
	p.must(err)
	p.write("a.md", "two")
	p.must(os.Chtimes(p.at("a.md"), info.ModTime(), info.ModTime()))
	p.topic.wait(t, "a.md=two")
}

func TestRunSeesChangesBehindLinks(t *testing.T) {
	p := newPlace(t)
	p.write("..v1/a.md", "1")
	p.write("..v2/a.md", "2")
	p.must(os.Symlink("..v1", p.at("..data")), os.Symlink("..data/a.md", p.at("a.md")), os.Symlink("..v1", p.at("v1")))
	p.options.Include = []string{"*.md", "v1/*"}
	p.run()
	p.topic.wait(t, "a.md=1 v1/a.md=1")
	p.must(os.Symlink("..v2", p.at("..new")))
	p.rename("..new", "..data") // as a mounted ConfigMap is updated
	p.topic.wait(t, "a.md=2 v1/a.md=1")
	p.write("..v1/b.md", "B")
	p.topic.wait(t, "a.md=2 v1/a.md=1 v1/b.md=B")
	p.must(os.Remove(p.at("a.md")))
	p.topic.wait(t, "v1/a.md=1 v1/b.md=B")
}

func TestRunGoesOnWhereItStopped(t *testing.T) {
	p := newPlace(t)
	for i := range 20 {
		p.write(fmt.Sprintf("%02d.md", i), "X")
	}
	stop := p.run()
	p.topic.wait(t, twenty("X"))
	stop()
	p.topic.taken()
	p.write("07.md", "Y")
	p.must(os.Remove(p.at("08.md")))
	p.run()
	p.topic.wait(t, strings.Replace(strings.Replace(twenty("X"), "07.md=X", "07.md=Y", 1), " 08.md=X", "", 1))
	p.expect("events", p.topic.taken(), "delete 08.md, put 07.md")
}

func twenty(content string) string {
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("%02d.md=%s", i, content))
	}
	return strings.Join(all, " ")
}

func TestRunWaitsForItsRoot(t *testing.T) {
	for name, watched := range map[string]bool{"moved away": true, "replaced": false} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.write("a.md", "A")
			p.write("sub/b.md", "B")
			p.options.Rescan = 30 * time.Millisecond
			p.run()
			p.topic.wait(t, "a.md=A sub/b.md=B")
			p.topic.taken()
			away := p.dir + "/away"
			p.must(os.Rename(p.root, away))
			p.must(os.WriteFile(away+"/c.md", []byte("C"), 0o600))
			if watched {
				p.must(os.Rename(away, p.root))
				p.topic.wait(t, "a.md=A c.md=C sub/b.md=B")
				p.expect("events", p.topic.taken(), "put c.md")
			} else {
				p.write("d.md", "D")
				p.topic.wait(t, "d.md=D")
			}
			p.write("sub/b.md", "B2")
			p.topic.wait(t, map[bool]string{true: "a.md=A c.md=C sub/b.md=B2", false: "d.md=D sub/b.md=B2"}[watched])
		})
	}
}

func TestAnEmptyRootIsNoReturn(t *testing.T) {
	p := newPlace(t)
	w := p.watcher()
	x, err := w.openIndex(t.Context())
	p.must(err)
	defer x.close()
	if tr := w.returned(x); tr != nil {
		t.Error("an empty directory was taken for the root")
		p.must(tr.close())
	}
	p.write("a.md", "A")
	tr := w.returned(x)
	if tr == nil {
		t.Fatal("the root was not recognised")
	}
	p.must(tr.close())
}

// A pass that is under way while the root goes away deletes nothing.
func TestComparisonOfAVanishedRootDeletesNothing(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "A")
	p.scan()
	w := p.watcher()
	x, err := w.openIndex(t.Context())
	p.must(err)
	tr, err := w.openTree(x)
	p.must(err)
	p.must(os.RemoveAll(p.root))
	if _, err := tr.compare(t.Context(), []string{""}, nil); !errors.Is(err, errRoot) || stream.KindOf(err) != stream.Transient {
		t.Errorf("comparison: %v", err)
	}
	p.must(tr.close(), x.close())
	p.expect("events", p.topic.taken(), "")
}

func TestRunTriesAgainAfterATransientFailure(t *testing.T) {
	p := newPlace(t)
	failures := 2
	p.topic.fail = func([]Event) error {
		if failures--; failures >= 0 {
			return stream.Errorf(stream.Transient, "publish", "the broker is away")
		}
		return nil
	}
	p.write("a.md", "A")
	p.run()
	p.topic.wait(t, "a.md=A")

	fatal := newPlace(t)
	fatal.write("a.md", "A")
	fatal.topic.fail = func([]Event) error { return stream.Errorf(stream.Usage, "publish", "no such topic") }
	if err := fatal.watcher().Run(t.Context()); stream.KindOf(err) != stream.Usage {
		t.Errorf("Run ended with %v", err)
	}
}

func TestRunFollowsABurst(t *testing.T) {
	p := newPlace(t)
	const dirs, each = 40, 25
	want := map[string]string{}
	p.run()
	for i := range dirs {
		for j := range each {
			path := fmt.Sprintf("d%02d/%02d.md", i, j)
			p.write(path, "1")
			p.write(path, path)
			want[path] = path
		}
	}
	p.topic.wait(t, text(want))
}

// Lost notifications are made good by comparing all files, under fresh watches: the old ones may bear old names.
func TestOverflowRenewsTheWatches(t *testing.T) {
	p := newPlace(t)
	p.write("old/sub/a.md", "A")
	w := p.watcher()
	x, err := w.openIndex(t.Context())
	p.must(err)
	tr, err := w.openTree(x)
	p.must(err)
	notify, err := fsnotify.NewWatcher()
	p.must(err)
	s := &session{tree: tr, notify: notify, paths: map[string]bool{}, dirty: map[string]bool{}, timer: time.NewTimer(time.Hour)}
	s.mark("")
	p.must(s.publish(t.Context()))
	p.rename("old", "new") // and its notification is lost
	s.lost(fsnotify.ErrEventOverflow)
	p.must(s.publish(t.Context()))
	p.expect("events", p.topic.taken(), "delete old/sub/a.md, put new/sub/a.md, put old/sub/a.md")
	p.expect("watches", fmt.Sprint(s.paths), "map[:true new:true new/sub:true]")
	p.must(notify.Close(), tr.close(), x.close())
}

// An edit is published within 50 ms of its save: here the mean, which a busy machine disturbs less than the tail.
func TestRunIsQuick(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "")
	p.run()
	p.topic.wait(t, "a.md=")
	const edits = 20
	began := time.Now()
	for i := range edits {
		p.write("a.md", fmt.Sprint(i))
		p.topic.wait(t, fmt.Sprintf("a.md=%d", i))
	}
	mean := time.Since(began) / edits
	t.Logf("save to published: mean %v", mean)
	if mean > 500*time.Millisecond {
		t.Errorf("an edit takes %v", mean)
	}
}
