package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// points tells tests of the moments that only the wire shows: a request left, an answer came.
//
//	F7  TxnOffsetCommit was sent: applied or not, its answer is lost
//	F8  TxnOffsetCommit was answered, EndTxn not sent
//	F10 EndTxn was sent: applied or not
//	F9  EndTxn was answered
type points struct{ at func(point string) }

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (p points) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		p.pass(key, "F7", "F10")
	}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (p points) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		p.pass(key, "F8", "F9")
	}
}

func (p points) pass(key int16, offsets, end string) {
	switch kmsg.Key(key) {
	case kmsg.TxnOffsetCommit:
		p.at(offsets)
	case kmsg.EndTxn:
		p.at(end)
	}
}
