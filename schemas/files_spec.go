package schemas

import (
	"errors"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

const maxFileBytes = 8 << 20

// FilesSpec declares the source "files": the files below a directory, which the watcher writes to a topic of the flow.
// The field `bytes` is not declared: formulas over the bytes of files are not built.
func FilesSpec() stream.SourceSpec {
	return stream.SourceSpec{
		Name: "files",
		Doc: "The files below a directory. A document is a file, named by its path below the root; content is null for a " +
			"file that is no UTF-8 text.",
		Settings: []stream.Setting{
			{Name: "root", Kind: stream.SettingString, Required: true,
				Doc: "The directory, relative to the flow file."},
			{Name: "include", Kind: stream.SettingStrings, Default: stream.ListOf(stream.StringOf("**/*")),
				Doc: "Globs of the paths to take, below the root and with slashes; ** crosses directories."},
			{Name: "exclude", Kind: stream.SettingStrings, Default: stream.ListOf([]stream.Value{}...), // not nil: an empty list
				Doc: "Globs of the paths to leave out, even when they are included."},
			{Name: "rescan", Kind: stream.SettingDuration, Default: stream.IntOf(int64(30 * time.Second)), Min: int64(time.Second), Max: int64(24 * time.Hour),
				Doc: "How often the whole directory is compared, beside the notifications of the operating system."},
			{Name: "max_bytes", Kind: stream.SettingInt, Default: stream.IntOf(maxFileBytes), Min: 1, Max: maxFileBytes,
				Doc: "Larger files are not sent; their documents are quarantined, and say so."},
		},
		Type:  filesType,
		Topic: func(flow, source string, _ stream.Settings) string { return flow + ".files." + source },
	}
}

func filesType(_ stream.Settings, declared []stream.Field) (stream.Type, error) {
	if declared != nil {
		return stream.Type{}, errors.New("files have fixed fields (path, name, ext, content, size): remove `fields`")
	}
	return stream.MapType(
		stream.Field{Name: "content", Type: stream.TypeString.OrNull()},
		stream.Field{Name: "ext", Type: stream.TypeString},
		stream.Field{Name: "name", Type: stream.TypeString},
		stream.Field{Name: "path", Type: stream.TypeString},
		stream.Field{Name: "size", Type: stream.TypeInt},
	), nil
}
