// Package embed turns texts into vectors.
//
// It upholds: one attempt per call, because the engine repeats, slows down and splits batches by the class of the error;
// a vector has exactly the dimensions that the flow declares; an API key is sent to the configured host only, and is never
// part of an error.
package embed
