// Package powerloss cuts the power of a store directory. Its test runs statestore over a Badger that says when it syncs
// which file, keeps what a disk would surely hold by then, and builds from it what a disk may hold: pages, sizes and names
// that were not synced are each there or not, by chance. Such a directory must be refused as damaged, or open at a
// checkpoint from which replaying the changelog gives exactly the committed state.
//
// What Badger promises, and what that took, is in docs/decisions/013-what-a-power-loss-leaves.md.
package powerloss
