package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// command runs a command on the flow file.
func (p *project) command(name string, args ...string) *process {
	args = append([]string{name, "-f", "flow.yaml"}, args...)
	if p.binary != "" {
		return startBinary(p.t, p.binary, p.dir, p.env, args...)
	}
	return start(p.t, p.dir, p.env, args...)
}

// restoredRecords are the changelog records that the running replica has read, and the fetches that brought them.
func (p *project) restoredRecords() (n int64) {
	p.t.Helper()
	c := p.command("status", "--json")
	c.exits(0)
	var s struct {
		Replicas []struct {
			Restore struct{ Records, Fetches int64 }
		}
	}
	if err := json.Unmarshal(c.stdout.Bytes(), &s); err != nil || len(s.Replicas) != 1 {
		p.t.Fatalf("status says %s (%v)", c.stdout.String(), err)
	}
	return s.Replicas[0].Restore.Records + s.Replicas[0].Restore.Fetches
}

// open reports whether a transaction of the flow's replica 0 is open.
func (n *notes) open() bool {
	n.t.Helper()
	id := n.flow + ".processor.0"
	described, err := n.in.adm.DescribeTransactions(n.t.Context(), id)
	if err != nil {
		n.t.Fatal(err)
	}
	return described[id].State == "Ongoing"
}

// TestDrain: asked to end under load, a process ends its transaction, applies it and leaves with exit code 0; the next start
// reads nothing of the changelog.
func TestDrain(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	done, ended := make(chan struct{}), make(chan struct{})
	total := 0
	go func() { // load
		defer close(ended)
		for ; ; total++ {
			select {
			case <-done:
				return
			default:
			}
			var burst []*kgo.Record
			for i := range 20 {
				burst = append(burst, row("u", strconv.Itoa(i), fmt.Sprintf(`"text":"round %d"`, total)))
			}
			if err := n.in.cl.ProduceSync(t.Context(), burst...).FirstErr(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for round := range 3 {
		p := n.run()
		before := n.in.offset(n.flow)
		p.until("it works", func(context.Context) bool { return n.in.offset(n.flow) > before+100 })
		if got := n.restoredRecords(); got > 0 {
			t.Errorf("round %d: the start after a clean end read %d records of the changelog", round, got)
		}
		p.stop()
		p.exits(0)
		if n.open() {
			t.Errorf("round %d: a transaction is open", round)
		}
	}
	close(done)
	<-ended
	n.runOnce()
	for i := range 20 {
		n.holds(strconv.Itoa(i), fmt.Sprintf("round %d", total-1))
	}
}

// TestSecondSignal: the first lets a write to a target finish, the second ends the process at once.
func TestSecondSignal(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	n.say("1", "before")
	n.runOnce()
	conn, err := pgx.Connect(t.Context(), n.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "begin; lock table e2e.notes in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	n.say("1", "while the table is locked")
	p := n.run()
	p.until("a write waits for the lock", func(ctx context.Context) bool {
		var waits bool
		err := conn.QueryRow(ctx, "select exists (select from pg_locks where not granted)").Scan(&waits)
		return err == nil && waits
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for p.running() { // the first, and those after it
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-tick.C
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", p.cmd.ProcessState)
	}
	if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	n.runOnce()
	n.holds("1", "while the table is locked")
}

// TestForeignStateDirectory: the state of another flow is refused before anything runs, and left alone.
func TestForeignStateDirectory(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	n.say("1", "kept")
	n.runOnce()
	path := filepath.Join(n.dir, ".freshet", n.flow, "replica-0", "0", "identity.json")
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := `{"flow":"other","partition":0}`
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run("--once").complains(2, "the state of flow other, partition 0", "choose another directory")
	if held, err := os.ReadFile(path); err != nil || string(held) != other {
		t.Errorf("it holds %s, %v", held, err)
	}
	if err := os.WriteFile(path, own, 0o600); err != nil {
		t.Fatal(err)
	}
	n.say("2", "later")
	n.runOnce()
	n.holds("2", "later")
}

// TestTransactionVersion: a cluster whose transactions can be mixed up is refused, with the command that raises it.
func TestTransactionVersion(t *testing.T) {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	n := newNotes(t, broker, testenv.SharedPostgres(t).NewDatabase(t))
	n.say("1", "kept")
	level := func(level int16, kind int8) {
		t.Helper()
		updated, err := n.in.adm.UpdateFeatures(t.Context(), false, kadm.FeatureUpdate{Feature: "transaction.version", MaxVersionLevel: level, UpgradeType: kind})
		if err != nil || updated.Error() != nil {
			t.Fatal(err, updated.Error())
		}
	}
	level(1, 2)
	n.run("--once").complains(2, "transaction.version is below 2", "kafka-features.sh --bootstrap-server "+broker.Addr())
	level(2, 1)
	n.runOnce()
	n.holds("1", "kept")
}
