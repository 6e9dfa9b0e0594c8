package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Listen opens the address of a process's HTTP; "" is a free port on loopback. The listener's address is what others
// reach the process by.
func Listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "listen on "+address, "%w; choose another address with --listen", err)
	}
	return l, nil
}

// Server answers for one process.
type Server struct {
	source  Source
	metrics *Metrics
}

// NewServer returns a server of what the source tells; m is served as /metrics, with the source's own numbers added.
func NewServer(s Source, m *Metrics) *Server { return &Server{source: s, metrics: m} }

// Serve answers on l until ctx ends. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.handler(l.Addr()), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if h.Shutdown(late) != nil {
			_ = h.Close() // requests that did not end in time
		}
	})
	err := h.Serve(l)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return &stream.Error{Op: "serve the control HTTP", Kind: stream.Transient, Err: err}
}

func (s *Server) handler(at net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/documents", s.documents)
	mux.HandleFunc("GET /v1/search", s.search)
	mux.HandleFunc("POST /v1/rebuild", s.rebuild)
	mux.HandleFunc("POST /v1/forget", s.forget)
	mux.HandleFunc("POST /v1/retry", s.retry)
	mux.HandleFunc("POST /v1/drop", s.drop)
	mux.HandleFunc("GET /v1/shown", s.shown)
	mux.HandleFunc("GET /v1/derivation", s.derivation)
	mux.HandleFunc("GET /v1/row", s.row)
	mux.HandleFunc("GET /v1/held", s.held)
	mux.Handle("GET /metrics", s.metrics.handler(s.source))
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	routes := http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Document IDs hold slashes of all sorts, which a mux would tidy.
		if id, ok := strings.CutPrefix(r.URL.Path, "/v1/documents/"); ok && r.Method == http.MethodGet {
			s.document(w, r, id)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	if a, ok := at.(*net.TCPAddr); ok && a.IP.IsLoopback() {
		return onlyLocal(routes)
	}
	return routes
}

// onlyLocal refuses requests by a name that someone let point to loopback, so that no web page can read by it.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			refuse(w, http.StatusForbidden, "ask by 127.0.0.1 or localhost; --listen opens other addresses")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	answer(w, s.source.Status(r.Context()).complete(), nil)
}

func (s *Server) documents(w http.ResponseWriter, r *http.Request) {
	q := Query{Status: r.FormValue("status"), After: r.FormValue("after")}
	var err error
	if q.Limit, err = number(r, "limit"); err != nil {
		answer(w, nil, err)
		return
	}
	page, err := ListDocuments(s.source.Stores, q)
	answer(w, page, err)
}

// typeCBOR is the media type by which a document's stored input is asked for in its exact encoding.
const typeCBOR = "application/cbor"

func (s *Server) document(w http.ResponseWriter, r *http.Request, id string) {
	d, found, err := FindDocument(s.source.Stores, id)
	if err == nil && !found {
		err = ErrNotHere
	}
	if err == nil && r.Header.Get("Accept") == typeCBOR {
		w.Header().Set("Content-Type", typeCBOR)
		_, _ = w.Write(stream.AppendValue(nil, d.Input.Value)) // the client went away
		return
	}
	answer(w, d, err)
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	q := SearchQuery{Target: r.FormValue("target"), Table: r.FormValue("table"), Column: r.FormValue("column"), Text: r.FormValue("text")}
	var err error
	if q.K, err = number(r, "k"); err != nil {
		answer(w, nil, err)
		return
	}
	if q.K == 0 {
		q.K = 5
	}
	result, err := s.source.Search(r.Context(), q)
	result.Hits = some(result.Hits)
	answer(w, result, err)
}

func (s *Server) rebuild(w http.ResponseWriter, r *http.Request) {
	target := r.FormValue("target") // which parses the form
	var partitions []int32
	for _, text := range r.Form["partition"] {
		p, err := strconv.ParseInt(text, 10, 32)
		if err != nil || p < 0 {
			answer(w, nil, stream.Errorf(stream.Usage, "read partition", "%q is no partition", text))
			return
		}
		partitions = append(partitions, int32(p))
	}
	answer(w, map[string]string{"target": target}, s.source.Rebuild(target, partitions))
}

// number reads an optional count.
func number(r *http.Request, name string) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, stream.Errorf(stream.Usage, "read "+name, "%q is no count", text)
	}
	return n, nil
}

// failure is what an answer that failed holds.
type failure struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, body any, err error) {
	if err != nil {
		refuse(w, code(err), err.Error())
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // the client went away
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(failure{why}) // the client went away
}

func code(err error) int {
	switch {
	case errors.Is(err, ErrNotHere):
		return http.StatusNotFound
	case stream.KindOf(err) == stream.Usage, stream.KindOf(err) == stream.Invalid:
		return http.StatusBadRequest
	case stream.KindOf(err) == stream.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}
