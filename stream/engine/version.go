package engine

import "github.com/freshet-dev/freshet/stream"

// RowVersion is what the state notes of a row that was written: its key, its values, and the names of its columns, in order, under which
// the record has them. Builds before this one noted key and values alone: see diff.
func RowVersion(columns []string, r stream.Row) stream.Fingerprint {
	return versionOf(namesOf(columns), r.Fingerprint())
}

func namesOf(columns []string) stream.Fingerprint {
	names := make([]stream.Value, len(columns))
	for i, c := range columns {
		names[i] = stream.StringOf(c)
	}
	return stream.FingerprintOfList(names...)
}

// columnsOf are the names of each table's columns.
func columnsOf(tables []stream.Table) map[string]stream.Fingerprint {
	all := map[string]stream.Fingerprint{}
	for _, t := range tables {
		var names []string
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		all[t.Name] = namesOf(names)
	}
	return all
}

func versionOf(names, values stream.Fingerprint) stream.Fingerprint {
	var b [2 * len(names)]byte
	copy(b[copy(b[:], names[:]):], values[:])
	return stream.FingerprintBytes(b[:])
}
