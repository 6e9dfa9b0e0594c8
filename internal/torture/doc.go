// Package torture kills, stops and cuts off real Freshet processes and brokers and compares what the targets hold with a
// model of the source, with the rows topic, and with an uninterrupted run. Its tests are the proof of invariants 1 to 6
// that no simulation gives. targets_test.go says how a target joins.
//
// The variables FRESHET_KILLS, FRESHET_SERVER_KILLS (tests with the tag long), FRESHET_ZOMBIES, FRESHET_MOVES and FRESHET_SOAK scale it, and FRESHET_SESSION is after
// which time a zombie's group gives it up; a failure prints the seed, which FRESHET_SEED repeats: the same faults and changes in the same
// order, if not at the same moments.
package torture
