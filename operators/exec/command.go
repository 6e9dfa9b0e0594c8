package exec

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// command is how workers are started.
type command struct {
	op      string
	path    string // as LookPath takes it, or absolute
	args    []string
	dir     string
	env     map[string]stream.Secret
	memory  uint64 // bytes of address space; 0: no limit
	startup time.Duration
	log     *slog.Logger
}

// inherited are the variables that workers have of the process.
var inherited = []string{"PATH", "HOME", "LANG", "TMPDIR"}

func commandOf(op string, s stream.Settings) (command, error) {
	words := s.Strings("command")
	if len(words) == 0 || words[0] == "" {
		return command{}, stream.Errorf(stream.Usage, op, "command is empty; name a program, such as [python3, operator.py]")
	}
	c := command{op: op, path: words[0], args: words[1:], dir: s.Dir, env: s.Secrets("env"), memory: uint64(s.Int("memory")) << 20,
		startup: time.Duration(s.Int("startup")), log: s.Log}
	switch {
	case c.memory > 0 && !limitsMemory:
		return c, stream.Errorf(stream.Usage, op, "memory can be limited on Linux only; leave it out")
	case c.startup <= 0:
		return c, stream.Errorf(stream.Usage, op, "startup must be above zero")
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// shown is a command as errors and logs have it.
func shown(words []string) string { return strings.Join(words, " ") }

// prepare resolves the program and the secrets, as they are now.
func (c command) prepare() (cmd *osexec.Cmd, secrets []string, err error) {
	path := c.path
	if strings.ContainsRune(path, filepath.Separator) && !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
		if path, err = filepath.Abs(path); err != nil {
			return nil, nil, &stream.Error{Op: c.op, Kind: stream.Transient, Err: err}
		}
	}
	cmd = osexec.Command(path, c.args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, ofOwnGroup()
	for _, name := range inherited {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for name, ref := range c.env {
		value, err := ref.Resolve()
		if err != nil {
			return nil, nil, err
		}
		cmd.Env = append(cmd.Env, name+"="+value)
		secrets = append(secrets, value)
		for line := range strings.Lines(value) { // logs are cut into lines
			secrets = append(secrets, strings.TrimRight(line, "\r\n"))
		}
	}
	return cmd, secrets, nil
}

// notStarted is the class of a start that the system refused.
func (c command) notStarted(err error) error {
	kind := stream.Transient
	if errors.Is(err, osexec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		kind = stream.Usage
	}
	return stream.Errorf(kind, c.op, "the program can't be started (check command): %w", err)
}
