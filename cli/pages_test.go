package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandPages: docs/commands says what the commands themselves say, one page each.
func TestCommandPages(t *testing.T) {
	const dir = "../docs/commands"
	want := map[string]string{}
	var index strings.Builder
	index.WriteString("# Commands\n\n| command | |\n| --- | --- |\n")
	for _, c := range leaves(newRoot(program{registry: registry()})) {
		name := pageName(c)
		want[name+".md"] = page(c, name)
		fmt.Fprintf(&index, "| [`%s`](%s.md) | %s |\n", c.CommandPath(), name, c.Short)
	}
	index.WriteString("\nExit codes of all: 0 done; 1 failed; 2 wrong usage or invalid flow; 3 caught up, with quarantined documents; 4 a difference was found.\n")
	want["README.md"] = index.String()
	for name, text := range want {
		compare(t, filepath.Join(dir, name), text, "TestCommandPages")
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if _, known := want[f.Name()]; !known {
			t.Errorf("%s is the page of no command; remove it", f.Name())
		}
	}
}

// compare holds a generated page to what it should say; test is the one that writes it anew.
func compare(t *testing.T, path, want, test string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is out of date; run: go test ./cli -run %s -update", path, test)
	}
}

// leaves are the commands that do something.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	if c.Runnable() && c.HasParent() {
		all = append(all, c)
	}
	return all
}

func pageName(c *cobra.Command) string {
	return strings.ReplaceAll(strings.TrimPrefix(c.CommandPath(), "freshet "), " ", "-")
}

func page(c *cobra.Command, name string) string {
	var b bytes.Buffer
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(&b, "# %s\n\n%s\n\n    %s\n\n| flag | |\n| --- | --- |\n", c.CommandPath(), text, strings.TrimSuffix(c.UseLine(), " [flags]"))
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { fmt.Fprintf(&b, "| `%s` | %s |\n", flagText(f), f.Usage+standard(f)) })
	c.InheritedFlags().VisitAll(func(f *pflag.Flag) { fmt.Fprintf(&b, "| `%s` | %s |\n", flagText(f), f.Usage+standard(f)) })
	if _, err := os.Stat("../schemas/cli/" + name + ".schema.json"); err == nil {
		fmt.Fprintf(&b, "\nWhat `--json` prints: [schemas/cli/%s.schema.json](../../schemas/cli/%[1]s.schema.json).\n", name)
	}
	return b.String()
}

func flagText(f *pflag.Flag) string {
	text := "--" + f.Name
	if f.Shorthand != "" {
		text = "-" + f.Shorthand + ", " + text
	}
	switch f.Value.Type() {
	case "bool":
		return text
	case "stringSlice":
		return text + " A,B"
	}
	return text + " " + strings.ToUpper(f.Value.Type())
}

// standard says the default, where it is worth saying.
func standard(f *pflag.Flag) string {
	if f.Value.Type() == "bool" || f.DefValue == "" || f.DefValue == "0" || f.DefValue == "[]" {
		return ""
	}
	return " (default " + strings.Trim(f.DefValue, "[]") + ")"
}
