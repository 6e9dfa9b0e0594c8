package flow

import (
	"fmt"
	"sort"
	"strings"
)

// Fault is one fault of a flow file, at a position that counts lines and columns (in characters) from 1.
type Fault struct {
	File         string
	Line, Column int
	Message      string
	Suggestion   string // what to do about it; may be empty
}

// String writes the fault as compilers do: file:line:column: message (suggestion).
func (f Fault) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Suggestion != "" {
		s += " (" + f.Suggestion + ")"
	}
	return s
}

// Faults are all the faults of a flow and its overlay, in order of position. As an error it prints one a line.
type Faults []Fault

// Error implements error.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sort() {
	sort.SliceStable(f, func(i, j int) bool {
		a, b := f[i], f[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// place is a position in a file.
type place struct {
	file         string
	line, column int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column) }

// faultList collects faults while a file is read and checked.
type faultList struct{ list Faults }

func (l *faultList) add(at place, suggestion, format string, args ...any) {
	l.list = append(l.list, Fault{at.file, at.line, at.column, fmt.Sprintf(format, args...), suggestion})
}

// err returns the faults sorted, or nil when there are none.
func (l *faultList) err() error {
	if len(l.list) == 0 {
		return nil
	}
	l.list.sort()
	return &l.list
}
