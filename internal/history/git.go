package history

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// repository reads the history of a git repository's current branch: its first parents, so that each step is what the
// branch itself saw and the last state is that of its head.
type repository struct {
	dir   string
	log   *command
	blobs *command
	next  *Commit // header read ahead
	ended bool    // the log was read to its end
}

// OpenGit opens the history of the files below dir, a directory of a git repository, as the current branch has it. Paths
// are below dir. It needs the command `git`. Files are regular ones: symbolic links and submodules are left out.
func OpenGit(ctx context.Context, dir string) (Reader, error) {
	r := &repository{dir: dir}
	var err error
	if r.log, err = start(ctx, dir, "-c", "log.showRoot=true", "log", "--reverse", "--first-parent", "--diff-merges=first-parent",
		"--no-renames", "--raw", "--no-abbrev", "-z", "--relative", "--format=commit %H %ct", "--", "."); err != nil {
		return nil, err
	}
	if r.blobs, err = start(ctx, dir, "cat-file", "--batch"); err != nil {
		return nil, errors.Join(err, r.log.stop())
	}
	return r, nil
}

// Close implements Reader.
func (r *repository) Close() error {
	_ = r.blobs.in.Close()
	return errors.Join(r.log.stop(), r.blobs.stop())
}

// Next implements Reader.
func (r *repository) Next() (Commit, error) {
	if r.ended {
		return Commit{}, io.EOF
	}
	if r.next == nil {
		if err := r.header(); err != nil {
			return Commit{}, err
		}
	}
	commit := *r.next
	r.next = nil
	for {
		field, err := r.log.field()
		if err == io.EOF {
			r.ended = true
			return commit, r.log.wait()
		}
		if err != nil {
			return commit, err
		}
		switch {
		case strings.HasPrefix(field, ":"):
			e, ok, err := r.edit(field)
			if err != nil {
				return commit, err
			}
			if ok {
				commit.Edits = append(commit.Edits, e)
			}
		default:
			r.next, err = parseHeader(field)
			return commit, err
		}
	}
}

// header reads the first commit's header.
func (r *repository) header() error {
	field, err := r.log.field()
	if err == io.EOF {
		r.ended = true
		if err := r.log.wait(); err != nil {
			return err
		}
		return io.EOF
	}
	if err == nil {
		r.next, err = parseHeader(field)
	}
	return err
}

func parseHeader(field string) (*Commit, error) {
	words := strings.Fields(field)
	if len(words) != 3 || words[0] != "commit" {
		return nil, stream.Errorf(stream.Internal, "read git's log", "%q is no header of a commit", field)
	}
	seconds, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return nil, stream.Errorf(stream.Internal, "read git's log", "time of commit %s: %w", words[1], err)
	}
	return &Commit{ID: words[1][:12], Time: time.Unix(seconds, 0).UTC()}, nil
}

// edit reads a change of the log: ":oldmode newmode oldblob newblob status", then its path. ok is false for what never
// was a file.
func (r *repository) edit(field string) (e Edit, ok bool, err error) {
	path, err := r.log.raw()
	if err != nil {
		return e, false, err
	}
	words := strings.Fields(field)
	if len(words) != 5 {
		return e, false, stream.Errorf(stream.Internal, "read git's log", "%q is no change", field)
	}
	was, is := regular(words[0][1:]), regular(words[1])
	if !is {
		return Edit{Path: path, Delete: true}, was, nil
	}
	content, err := r.blob(words[3])
	return Edit{Path: path, Content: content}, true, err
}

// regular reports whether a file mode of git is that of a regular file, executable or not.
func regular(mode string) bool { return strings.HasPrefix(mode, "100") }

// blob asks for an object's content.
func (r *repository) blob(id string) ([]byte, error) {
	op := "read object " + id + " of " + r.dir
	if _, err := fmt.Fprintln(r.blobs.in, id); err != nil {
		return nil, r.blobs.failed(op, err)
	}
	header, err := r.blobs.out.ReadString('\n')
	if err != nil {
		return nil, r.blobs.failed(op, err)
	}
	words := strings.Fields(header)
	if len(words) != 3 || words[1] != "blob" {
		return nil, stream.Errorf(stream.Usage, op, "git answered %q; a partial clone lacks objects: fetch them first", strings.TrimSpace(header))
	}
	size, err := strconv.Atoi(words[2])
	if err != nil {
		return nil, r.blobs.failed(op, err)
	}
	content := make([]byte, size+1) // and the newline after it
	if _, err := io.ReadFull(r.blobs.out, content); err != nil {
		return nil, r.blobs.failed(op, err)
	}
	return content[:size], nil
}

// command is a running git.
type command struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
	ended  bool
}

func start(ctx context.Context, dir string, args ...string) (*command, error) {
	c := &command{cmd: exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)}
	c.cmd.Stderr = &c.errors
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, c.failed("start git", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, c.failed("start git", err)
	}
	c.in, c.out = in, bufio.NewReaderSize(out, 1<<16)
	if err := c.cmd.Start(); err != nil {
		return nil, &stream.Error{Op: "read the history of " + dir, Kind: stream.Usage, Err: err}
	}
	return c, nil
}

// raw reads up to the next NUL.
func (c *command) raw() (string, error) {
	field, err := c.out.ReadString(0)
	return strings.TrimSuffix(field, "\x00"), err
}

// field is raw without the line break that git puts after a header.
func (c *command) field() (string, error) {
	field, err := c.raw()
	return strings.TrimPrefix(field, "\n"), err
}

// wait returns when the command ended by itself.
func (c *command) wait() error {
	c.ended = true
	if err := c.cmd.Wait(); err != nil {
		return c.failed("read git's log", err)
	}
	return nil
}

// stop ends the command whatever it does; what it would have said no longer counts.
func (c *command) stop() error {
	if c.ended {
		return nil
	}
	c.ended = true
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return c.failed("stop git", err)
	}
	_ = c.cmd.Wait() // killed
	return nil
}

func (c *command) failed(op string, err error) error {
	if text := strings.TrimSpace(c.errors.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return &stream.Error{Op: op, Kind: stream.Usage, Err: err}
}
