// Package files watches a directory and publishes what happens to its files: a producer of file events.
//
// It upholds:
//   - Invariant 1: the index of what was published learns of an event only after Publish has returned; before that, the
//     index durably forgets what it knew of the file. So after a crash a file is published again, never left out, also
//     when it went back to the content published before, or was removed meanwhile.
//   - Every file is compared at the start, after lost notifications and every Options.Rescan: notifications make it quick,
//     not correct. A file counts as unchanged by its content, or by size, times and inode when these are old enough to tell.
//   - A root that is gone deletes nothing. Nothing outside of the root is ever read.
package files
