package embed

import "github.com/freshet-dev/freshet/stream"

// ReadAnswer reads an answer to a request for one vector.
func ReadAnswer(body []byte, dims int) ([]stream.Value, error) {
	return (&openAI{model: "m", dims: dims}).read(body, 1)
}
