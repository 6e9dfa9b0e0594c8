package control

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// lifeless is how long a loop may stand still.
const lifeless = 30 * time.Second

// stuck returns the loops that have stood still for too long, each with for how long.
func stuck(loops []Loop) (out []string) {
	for _, l := range loops {
		if l.Still >= lifeless {
			out = append(out, fmt.Sprintf("%s has stood still for %s", l.Name, l.Still.Round(time.Second)))
		}
	}
	return out
}

// live answers whether a restart would help: it says nothing of brokers, targets and restores, which take their time.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	if all := stuck(s.source.Loops()); len(all) > 0 {
		refuse(w, http.StatusServiceUnavailable, strings.Join(all, "; "))
		return
	}
	answer(w, struct{}{}, nil)
}

// ready answers whether the process does its part of the work.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if missing := s.source.Missing(); len(missing) > 0 {
		refuse(w, http.StatusServiceUnavailable, strings.Join(missing, "; "))
		return
	}
	answer(w, struct{}{}, nil)
}
