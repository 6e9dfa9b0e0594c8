// Package extract asks a language model for what a text says, in a form that a JSON Schema declares.
//
// It upholds: one attempt per call, because the engine repeats and slows down by the class of the error; a result is of the
// schema's type, or its document is quarantined; prompt, schema and what the request tells the model are its logic
// (invariant 7); an API key is sent to the configured host only, and is never part of an error.
package extract
