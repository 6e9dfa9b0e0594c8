package schemas

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// maxCommit bounds the text, far below what brokers allow (4096 bytes).
const maxCommit = 200

// CommitMeta is what the metadata of an offset commit says: which progress record the committed offsets belong to.
type CommitMeta struct {
	TopicID    string // Kafka's topic ID of the changelog, as text
	Progress   int64  // offset of the progress record of the same transaction
	Generation int64
	Revision   stream.Fingerprint
}

// EncodeCommit writes the metadata: "1|topic ID|progress offset|generation|revision".
func EncodeCommit(m CommitMeta) (string, error) {
	text := fmt.Sprintf("1|%s|%d|%d|%s", m.TopicID, m.Progress, m.Generation, m.Revision)
	if len(text) > maxCommit || strings.Contains(m.TopicID, "|") {
		return "", stream.Errorf(stream.Internal, "write commit metadata", "topic ID %q can't be part of it", m.TopicID)
	}
	return text, nil
}

// DecodeCommit undoes EncodeCommit. Metadata that Freshet did not write, or a newer version did, is an error of kind
// Usage; callers treat "" (no metadata) themselves.
func DecodeCommit(text string) (CommitMeta, error) {
	const op = "read the metadata of the committed offset"
	parts := strings.Split(text, "|")
	if len(parts) != 5 || parts[0] != "1" {
		return CommitMeta{}, stream.Errorf(stream.Usage, op, "%.40q is not of format 1; "+
			"another program commits in this consumer group, or a newer version of Freshet did", text)
	}
	m := CommitMeta{TopicID: parts[1]}
	var err, err2 error
	m.Progress, err = strconv.ParseInt(parts[2], 10, 64)
	m.Generation, err2 = strconv.ParseInt(parts[3], 10, 64)
	revision, err3 := hex.DecodeString(parts[4])
	if err != nil || err2 != nil || err3 != nil || len(revision) != len(m.Revision) {
		return CommitMeta{}, stream.Errorf(stream.Usage, op, "%.200q is malformed", text)
	}
	m.Revision = stream.Fingerprint(revision)
	return m, nil
}
