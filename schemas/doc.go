// Package schemas holds Freshet's wire formats: what it reads from sources (Debezium's JSON envelope, its own file
// events) and what it writes (row records, progress records, commit metadata, the records of a flow's meta topic).
//
// Every format that is persisted carries a version, and its golden bytes lie in testdata/golden: today's code must read
// them for ever. Decoders never panic on any input: what can't be understood is an error of kind Invalid, which
// quarantines one record (Invariant 8), or an event that is recognised as no document's and counted.
package schemas
