// Package sim runs whole flows on an in-process broker in virtual time, with faults that a seed decides, and compares what
// lies on the rows topic and in the targets with a model that replays the source. Its tests need the build tag synctests,
// with which the Kafka client waits for its locks in a way that lets virtual time go on: `make sim`.
package sim
