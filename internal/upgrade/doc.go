// Package upgrade holds today's Freshet against the one before. Its tests read a data directory that the earlier one
// wrote, and let builds of both replace each other, replica by replica, on a real broker while changes flow, forward and
// back.
//
// The earlier build comes from this repository's own history, so nothing here can drift with the code. A release moves
// the pin and adds a directory; what is there stays.
package upgrade
