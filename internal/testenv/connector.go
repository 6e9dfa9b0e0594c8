package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"testing"
)

// connectorStatus is what the worker says of a connector.
type connectorStatus struct {
	Connector taskStatus   `json:"connector"`
	Tasks     []taskStatus `json:"tasks"`
}

type taskStatus struct {
	State string `json:"state"`
	Trace string `json:"trace"`
}

// PutConnector creates a connector, or gives it new settings, and returns when it and its tasks run. It is deleted when
// the test ends.
func (w *Worker) PutConnector(t testing.TB, name string, config map[string]string) {
	t.Helper()
	if err := w.call(t.Context(), http.MethodPut, "/connectors/"+name+"/config", config, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.delete(t, name) })
	must(t, ready(t.Context(), w.process, func(ctx context.Context) error { return w.runs(ctx, name) }))
}

// runs is nil when a connector and at least one task run.
func (w *Worker) runs(ctx context.Context, name string) error {
	var status connectorStatus
	if err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/status", nil, &status); err != nil {
		return err
	}
	if len(status.Tasks) == 0 {
		return fmt.Errorf("connector %s is %s and has no task yet", name, status.Connector.State)
	}
	for _, task := range append(status.Tasks, status.Connector) {
		switch task.State {
		case "RUNNING":
		case "FAILED":
			return fmt.Errorf("connector %s failed: %w: %s", name, errForGood, task.Trace)
		default:
			return fmt.Errorf("connector %s is %s", name, task.State)
		}
	}
	return nil
}

// delete takes a connector away from a worker that still runs.
func (w *Worker) delete(t testing.TB, name string) {
	if !w.process.running() {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	if err := w.call(ctx, http.MethodDelete, "/connectors/"+name, nil, nil); err != nil {
		t.Logf("delete connector %s: %v", name, err)
	}
}

// DebeziumPostgres returns the settings of a connector that captures every table of db's schema public, onto topics
// named prefix.public.TABLE with the given number of partitions. The caller may change the map.
func DebeziumPostgres(db *Database, prefix string, partitions int) map[string]string {
	config := map[string]string{
		"connector.class":                           "io.debezium.connector.postgresql.PostgresConnector",
		"topic.prefix":                              prefix,
		"slot.name":                                 db.Name,
		"publication.name":                          "freshet",
		"publication.autocreate.mode":               "all_tables",
		"schema.include.list":                       "public",
		"skipped.operations":                        "none",
		"poll.interval.ms":                          "50",
		"status.update.interval.ms":                 "500",
		"heartbeat.interval.ms":                     "1000",
		"topic.creation.enable":                     "true",
		"topic.creation.default.replication.factor": "1",
		"topic.creation.default.partitions":         strconv.Itoa(partitions),
	}
	maps.Copy(config, map[string]string{
		"database.hostname": "127.0.0.1",
		"database.port":     strconv.Itoa(db.Server.Port()),
		"database.user":     db.Server.User(),
		"database.password": db.Server.Password(),
		"database.dbname":   db.Name,
		"plugin.name":       "pgoutput",
	})
	return config
}

// call asks the worker's REST interface; body and answer are JSON, and may be nil.
func (w *Worker) call(ctx context.Context, method, path string, body, answer any) (err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, w.URL()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	text, err = io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
