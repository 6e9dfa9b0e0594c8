package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/stream"
)

const (
	protocol = 1
	maxLine  = 64 << 20 // bytes of an answer
)

var (
	errGone  = errors.New("the worker ended")
	errOther = errors.New("the worker is not the one that the flow file declares")
	errLarge = fmt.Errorf("the worker wrote a line of more than %d MiB, and was ended", maxLine>>20)
)

// hello is the worker's first line.
type hello struct {
	Freshet int             `json:"freshet"`
	Version string          `json:"version"`
	Returns json.RawMessage `json:"returns"`
}

// answer is each further one.
type answer struct {
	ID      uint64            `json:"id"`
	Results []blackbox.Result `json:"results"`
}

// greet tells a new worker what is expected, and demands that it is the one for it.
func (w *worker) greet(ctx context.Context, c command, d blackbox.Declared) error {
	told, err := d.Told()
	if err != nil {
		return err
	}
	version, err := json.Marshal(d.Version)
	if err != nil {
		return err
	}
	returns := blackbox.Shape(d.Returns)
	line, err := w.exchange(ctx, c.startup, fmt.Appendf(nil, `{"freshet":%d,"version":%s,"returns":%s,"settings":%s}`, protocol, version, returns, told))
	if err != nil {
		return err
	}
	var h hello
	switch err := json.Unmarshal(line, &h); {
	case err != nil || h.Freshet == 0:
		return fmt.Errorf("%w: its first line is no hello, %s", blackbox.ErrForm, w.excerpt(line))
	case h.Freshet != protocol:
		return fmt.Errorf("%w: it speaks protocol %d, this program %d", errOther, h.Freshet, protocol)
	case h.Version != d.Version:
		return fmt.Errorf("%w: it has version %.40q, the flow file version %q; make both the same", errOther, h.Version, d.Version)
	case h.Returns != nil && !sameJSON(h.Returns, []byte(returns)):
		return fmt.Errorf("%w: it returns %.200s, the flow file says %s; make both the same", errOther, h.Returns, returns)
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// compute sends one request. Errors other than a *stream.BatchError mean that the worker is of no more use.
func (w *worker) compute(ctx context.Context, d blackbox.Declared, items []byte, n int) ([]stream.Value, error) {
	w.last++
	request := append(strconv.AppendUint([]byte(`{"id":`), w.last, 10), `,"items":`...)
	line, err := w.exchange(ctx, d.Deadline, append(append(request, items...), '}'))
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil || a.Results == nil {
		return nil, fmt.Errorf("%w: %s (what a program prints goes to standard error)", blackbox.ErrForm, w.excerpt(line))
	}
	if a.ID != w.last {
		return nil, fmt.Errorf("%w: it answers request %d, asked was %d", blackbox.ErrForm, a.ID, w.last)
	}
	return d.Read(a.Results, n, w.secrets)
}

// excerpt is the beginning of a line, for errors.
func (w *worker) excerpt(line []byte) string {
	return "the line begins" + stream.Explanation(bytes.NewReader(line), w.secrets...)
}

// exchange writes a line and reads one.
func (w *worker) exchange(ctx context.Context, within time.Duration, line []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	deadline := time.Now().Add(within)
	if err := errors.Join(w.in.SetWriteDeadline(deadline), w.out.SetReadDeadline(deadline)); err != nil {
		return nil, err
	}
	_, err := w.in.Write(append(line, '\n'))
	if err == nil {
		line, err = readLine(w.lines)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("the worker did not answer within %v, and was ended", within)
	case err != nil && !errors.Is(err, errLarge):
		return nil, errGone // its pipes are closed
	}
	return line, err
}

// readLine reads up to a line's end, without it.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, errLarge
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF), !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
