package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// component is one directory of the cache; tools/components/install makes it under the same name and version.
type component struct{ name, version string }

var (
	kafkaComponent    = component{"kafka", "4.3.1"}
	postgresComponent = component{"postgres", "18.1.0"}
	connectComponent  = component{"connect", "4.3.1"}
	debeziumComponent = component{"debezium-postgres", "3.7.0.Final"}
	qdrantComponent   = component{"qdrant", "0.9.0"}
	redisComponent    = component{"redis", "7"}
	neo4jComponent    = component{"neo4j", "5.26.30"}
	openSearch        = component{"opensearch", "2.19.6"}
	lanceComponent    = component{"lance", "14.0.2"}
	fakesnowComponent = component{"fakesnow", "0.12.1"}
	feastComponent    = component{"feast", "0.67.0"}
)

// missing says that a component can't be started on this machine, and why.
type missing struct{ component, reason string }

func (m *missing) Error() string { return "SKIP-COMPONENT " + m.component + ": " + m.reason }

// dir returns the component's directory in the cache, or a *missing.
func (c component) dir() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", &missing{c.name, err.Error()}
	}
	dir := filepath.Join(cache, c.name+"-"+c.version)
	if _, err := os.Stat(filepath.Join(dir, "stamp")); err != nil {
		return "", &missing{c.name, fmt.Sprintf("%s is not there; tools/components/install makes it", dir)}
	}
	return dir, nil
}

// jars returns the class path of a component made of Java archives, and the java command.
func (c component) jars() (java, classPath string, err error) {
	java, err = exec.LookPath("java")
	if err != nil {
		return "", "", &missing{c.name, "no java in PATH (JDK 17 or later)"}
	}
	dir, err := c.dir()
	return java, filepath.Join(dir, "lib", "*"), err
}

// jvm begins the arguments of java for a component's program on a small machine. Where the component has an archive of its loaded
// classes (tools/components/install makes it), it is used; a java that the archive is not for ignores it.
func jvm(heap, classPath string, more ...string) []string {
	args := []string{"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	archive := filepath.Join(filepath.Dir(filepath.Dir(classPath)), "classes.jsa")
	if _, err := os.Stat(archive); err == nil {
		args = append(args, "-XX:SharedArchiveFile="+archive)
	}
	return append(append(args, "-cp", classPath), more...)
}

// python finds the interpreter that tools/components/install unpacked the component's packages for.
func (c component) python() (string, error) {
	for _, name := range []string{"python3.11", "python3"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &missing{c.name, "no python3 in PATH (3.11 or later)"}
}

// script is a Python script, written into a directory, that is run with the component's packages until ctx ends.
func (c component) script(ctx context.Context, dir, name string, text []byte, args ...string) (*exec.Cmd, error) {
	packages, err := c.dir()
	if err != nil {
		return nil, err
	}
	python, err := c.python()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return nil, fmt.Errorf("write the script %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, python, append([]string{path}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(packages, "python"), "PYTHONDONTWRITEBYTECODE=1")
	return cmd, nil
}

// cacheDir returns FRESHET_CACHE, or freshet below the user's cache directory.
func cacheDir() (string, error) {
	if dir := os.Getenv("FRESHET_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set FRESHET_CACHE", err)
	}
	return filepath.Join(dir, "freshet"), nil
}
