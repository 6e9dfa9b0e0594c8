package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a line on a terminal that says how far long work is, and goes away with it. A nil one shows nothing.
type progress struct {
	lines *mpb.Progress
	bar   *mpb.Bar
	unit  string
	note  atomic.Pointer[string]
	began time.Time
}

// newProgress shows the progress of some work, counted in unit, when w is a terminal; otherwise it returns nil.
func newProgress(w io.Writer, what, unit string) *progress {
	if f, ok := w.(*os.File); !ok || f == nil || !cwriter.IsTerminal(int(f.Fd())) {
		return nil
	}
	return showProgress(w, what, unit)
}

func showProgress(w io.Writer, what, unit string) *progress {
	p := &progress{unit: unit, began: time.Now(), lines: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())}
	known := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]").Build()
	unknown := mpb.SpinnerStyle("|", "/", "-", `\`).PositionLeft().Build()
	filler := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		if s.Total > 0 {
			return known.Fill(w, s)
		}
		return unknown.Fill(w, s)
	})
	p.bar = p.lines.MustAdd(0, filler, mpb.BarWidth(30), mpb.PrependDecorators(decor.Name(what)), mpb.AppendDecorators(decor.Any(p.text)))
	return p
}

// Set says that so many units of total are done; a total of 0 is not known. The note is shown beside them.
func (p *progress) Set(done, total int64, note string) {
	if p == nil {
		return
	}
	p.note.Store(&note)
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

// Done takes the line away.
func (p *progress) Done() {
	if p == nil {
		return
	}
	p.bar.Abort(true)
	p.lines.Wait()
}

// text is what stands behind the bar.
func (p *progress) text(s decor.Statistics) string {
	note, took := "", time.Since(p.began)
	if n := p.note.Load(); n != nil {
		note = *n
	}
	return progressText(s.Current, s.Total, p.unit, note, took)
}

// progressText says what is done, the note, and how long the rest takes when it goes on as before. While that is not
// known, it says how long the work took until now.
func progressText(done, total int64, unit, note string, took time.Duration) string {
	var parts []string
	switch {
	case total > 0:
		parts = append(parts, fmt.Sprintf("%d of %d %s", done, total, unit))
	case done > 0:
		parts = append(parts, fmt.Sprintf("%d %s", done, unit))
	}
	if note != "" {
		parts = append(parts, note)
	}
	if total > 0 && done > 0 {
		rest := time.Duration(float64(took) / float64(done) * float64(total-done))
		return strings.Join(append(parts, rest.Round(time.Second).String()+" left"), ", ")
	}
	return strings.Join(append(parts, took.Round(time.Second).String()), ", ")
}
