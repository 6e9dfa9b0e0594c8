package schemas

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// defaultPlaceholder is Debezium's own (unavailable.value.placeholder).
const defaultPlaceholder = "__debezium_unavailable_value"

// unavailable knows the forms in which a connector says "this column's value was not in the log" (an unchanged TOAST
// column, a LOB): the placeholder as text, base64 or hexadecimal; a map {p: p}; an array of one of these, of the UUID
// made from it, or of its bytes as numbers.
type unavailable struct {
	texts map[string]bool
	long  int    // bytes of the longest text
	bytes string // "95,95,100,..."
}

func unavailableForms(p string) unavailable {
	numbers := make([]string, len(p))
	for i := range len(p) {
		numbers[i] = strconv.Itoa(int(p[i]))
	}
	u := unavailable{texts: map[string]bool{}, bytes: strings.Join(numbers, ",")}
	for _, text := range []string{p, base64.StdEncoding.EncodeToString([]byte(p)),
		base64.URLEncoding.EncodeToString([]byte(p)), hex.EncodeToString([]byte(p)), nameUUID(p)} {
		u.texts[text] = true
		u.long = max(u.long, len(text))
	}
	return u
}

// nameUUID is the version 3 UUID of s without a namespace, as Java's UUID.nameUUIDFromBytes makes it.
func nameUUID(s string) string {
	h := md5.Sum([]byte(s))
	h[6] = h[6]&0x0f | 0x30
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:])
}

// is reports whether v stands for an unavailable value.
func (u *unavailable) is(v gjson.Result) bool {
	switch {
	case v.Type == gjson.String:
		return u.text(v.Str)
	case v.IsArray():
		return u.list(v)
	case v.IsObject():
		return u.mapped(v)
	}
	return false
}

func (u *unavailable) text(s string) bool {
	return len(s) <= u.long && u.texts[s] || len(s) > 0 && s[0] == '{' && u.mapped(gjson.Parse(s))
}

func (u *unavailable) mapped(v gjson.Result) bool {
	n, found := 0, false
	v.ForEach(func(key, value gjson.Result) bool {
		n++
		found = u.texts[key.Str] && value.Type == gjson.String && u.texts[value.Str]
		return n < 2
	})
	return n == 1 && found
}

func (u *unavailable) list(v gjson.Result) bool {
	if v.Raw == "["+u.bytes+"]" {
		return true
	}
	n, found := 0, false
	v.ForEach(func(_, value gjson.Result) bool {
		n++
		found = value.Type == gjson.String && u.texts[value.Str]
		return n < 2
	})
	return n == 1 && found
}
