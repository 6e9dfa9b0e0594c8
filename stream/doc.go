// Package stream holds the nouns of Freshet: values, changes, documents, rows, versions, positions, errors, and the
// contracts that operators, providers of models, decoders and sinks keep. It imports nothing else of the module, so that
// every other package can speak in its terms.
//
// Values are immutable: whoever receives one may keep it, nobody may change what lies behind it.
package stream
