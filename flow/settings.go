package flow

import (
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// settings checks the settings written in t against their declarations. besides are keys of t with another meaning.
// The result is false after a fault, also one of a model that the settings name.
func (c *checker) settings(t *tree, what string, specs []stream.Setting, later map[string]string, besides ...string) (stream.Settings, bool) {
	before, whole := len(c.list), true
	s := stream.Settings{Dir: c.dir, Files: c.flow.files, Log: c.registry.Log}
	names := slices.Clone(besides)
	var values []stream.Entry
	for i := range specs {
		spec := &specs[i]
		names = append(names, spec.Name)
		v, ok := c.setting(t, what, spec, &s)
		if ok && !v.IsNull() {
			values = append(values, stream.Entry{Key: spec.Name, Value: v})
		}
		whole = whole && ok
	}
	c.known(t, what, later, names...)
	s.Values = stream.MapOf(values...)
	return s, whole && len(c.list) == before
}

func (c *checker) setting(t *tree, what string, spec *stream.Setting, s *stream.Settings) (stream.Value, bool) {
	written := t.get(spec.Name)
	if written == nil {
		if spec.Required {
			c.add(t.at, spec.Doc, "%s needs the setting `%s`", what, spec.Name)
		}
		return spec.Default, true
	}
	v, ok := c.settingValue(written, "`"+spec.Name+"` of "+what, spec, s)
	if ok && len(spec.Enum) > 0 && !slices.Contains(spec.Enum, v.Str()) {
		c.add(written.at, didYouMean(v.Str(), spec.Enum), "`%s` of %s can't be %q", spec.Name, what, v.Str())
	}
	return v, ok
}

func (c *checker) settingValue(t *tree, what string, spec *stream.Setting, s *stream.Settings) (stream.Value, bool) {
	switch spec.Kind {
	case stream.SettingInt:
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if spec.Max > spec.Min {
			low, high = spec.Min, spec.Max
		}
		n, ok := c.integer(t, what, low, high)
		return stream.IntOf(n), ok
	case stream.SettingDouble:
		return c.double(t, what)
	case stream.SettingBool:
		ok := c.isShape(t, what, shapeBool, "write true or false")
		return stream.BoolOf(t.text == "true"), ok
	case stream.SettingDuration:
		return c.duration(t, what)
	case stream.SettingStrings:
		list, ok := c.strings(t, what)
		items := make([]stream.Value, len(list))
		for i, x := range list {
			items[i] = stream.StringOf(x)
		}
		return stream.ListOf(items...), ok
	case stream.SettingType:
		typ, ok := c.typeSetting(t, what)
		if s.Types == nil {
			s.Types = map[string]stream.Type{}
		}
		s.Types[spec.Name] = typ
		return stream.StringOf(typ.String()), ok
	case stream.SettingMap:
		return c.mapSetting(t, what)
	case stream.SettingSecrets:
		return c.secrets(t, what)
	}
	text, ok := c.text(t, what)
	return stream.StringOf(text), ok && c.checkText(t, what, spec, s)
}

func (c *checker) checkText(t *tree, what string, spec *stream.Setting, s *stream.Settings) bool {
	switch spec.Kind {
	case stream.SettingSecret:
		return c.secret(t, what)
	case stream.SettingURL:
		return c.url(t, what)
	case stream.SettingModel:
		return c.modelRef(t, what, s)
	case stream.SettingPath:
		return c.path(t, what, spec)
	}
	return true
}

func (c *checker) double(t *tree, what string) (stream.Value, bool) {
	if t.shape == shapeInt || t.shape == shapeDouble {
		if f, err := strconv.ParseFloat(t.text, 64); err == nil {
			return stream.DoubleOf(f), true
		}
	}
	return stream.Value{}, c.isShape(t, what, shapeDouble, "write a plain number")
}

func (c *checker) duration(t *tree, what string) (stream.Value, bool) {
	text, ok := c.text(t, what)
	if !ok {
		return stream.Value{}, false
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		c.add(t.at, "write e.g. 30s, 5m or 168h", "%s must be a duration, not %q", what, text)
		return stream.Value{}, false
	}
	return stream.IntOf(int64(d)), true
}

// secret faults a secret that is written out, without repeating it.
func (c *checker) secret(t *tree, what string) bool {
	if stream.SecretRef(t.text).IsReference() {
		return true
	}
	c.add(t.at, "write env:NAME or file:/path/to/secret", "%s must be a reference to a secret, not the secret itself", what)
	return false
}

// url faults a text that is neither a reference nor a URL, or a URL with a password in it, without repeating it.
func (c *checker) url(t *tree, what string) bool {
	if stream.SecretRef(t.text).IsReference() {
		return true
	}
	u, err := url.Parse(t.text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		c.add(t.at, "write scheme://host:port/..., or env:NAME", "%s is no URL", what)
		return false
	}
	_, inUser := u.User.Password()
	if !inUser && !passwordInQuery(u) {
		return true
	}
	c.add(t.at, "write env:NAME or file:/path, and keep the URL there", "%s has a password written out", what)
	return false
}

func passwordInQuery(u *url.URL) bool {
	for key := range u.Query() {
		key = strings.ToLower(key)
		if strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "token") {
			return true
		}
	}
	return false
}

func (c *checker) modelRef(t *tree, what string, s *stream.Settings) bool {
	m, ok := c.models[t.text]
	if !ok {
		c.add(t.at, didYouMean(t.text, sortedKeys(c.models)), "%s: there is no model %q", what, t.text)
		for _, other := range c.models {
			other.used = true // one of them is probably meant
		}
		return false
	}
	m.used = true
	s.Model = m.model
	return m.model != nil
}

// mostFiles bounds the bytes of files that a flow's logic takes in, since a revision is one record.
const mostFiles = 512 << 10

// path reads the file that a setting names. The contents of one that belongs to the logic are the flow's from here on, whatever becomes
// of the file; those of a recorded flow are recorded.
func (c *checker) path(t *tree, what string, spec *stream.Setting) bool {
	contents, recorded := c.files[t.text]
	if !recorded || !spec.Output {
		var err error
		if contents, err = os.ReadFile(stream.PathIn(c.dir, t.text)); err != nil {
			c.add(t.at, "paths are relative to the flow file", "%s: %v", what, err)
			return false
		}
	}
	if !spec.Output {
		return true
	}
	c.flow.files[t.text] = contents
	total := 0
	for _, f := range c.flow.files {
		total += len(f)
	}
	if total > mostFiles {
		c.add(t.at, "", "%s: with it, the files that belong to the flow have %d bytes; at most %d are allowed", what, total, mostFiles)
	}
	return total <= mostFiles
}
