package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestCommandsOnACluster: replicas are found by the groups that they are members of, and their parts added up.
func TestCommandsOnACluster(t *testing.T) {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	d := newDesk(t)
	d.write("flow.yaml", strings.Replace(deskFlow, "kafka: {", `kafka: { brokers: ["`+broker.Addr()+`"],`, 1))
	stop0, _ := d.launch("run", "--replica", "0")
	stop1, _ := d.launch("run", "--replica", "1", "--role", "process")
	d.until("the replicas share the partitions", func() bool {
		s := d.overview()
		return len(s.Replicas) == 2 && len(s.Replicas[0].Partitions) == 1 && len(s.Replicas[1].Partitions) == 1
	})
	d.caughtUp(2, 2)
	d.want(exitDone, []string{"flow handbook: 2 running", "source     caught up", "chunks: 3 rows", "target     local: caught up"}, "status")
	var s overview
	d.json(&s, "status", "status")
	if len(s.Partitions) != 2 || s.Partitions[0].Partition != 0 || s.Partitions[1].Partition != 1 {
		t.Errorf("got %+v", s.Partitions)
	}
	d.checkDocuments()
	d.checkTrials()
	d.checkExplain()
	d.wantWhole()
	d.tamper()
	d.want(exitDone, []string{"target local is rebuilt"}, "rebuild", "local")
	d.wantWhole()
	d.checkRevisions()
	d.want(exitUsage, []string{"2 processes of flow handbook run; stop them first"}, "reset", "--yes")
	stop1()
	stop0()
	d.until("Kafka knows that they stopped", func() bool { return d.run("status").code == exitDone })
	d.want(exitDone, []string{"nothing runs; this is the state", "documents  2"}, "status")
	d.checkDocuments()
	d.checkExplain()
	d.wantWhole()
	d.want(exitDone, []string{"generation 2"}, "reset", "--yes")
	d.want(exitDone, []string{"2 documents evaluated"}, "run", "--once")
	d.wantWhole()
}

// checkRevisions changes the flow while two replicas run, holds its backfill up, and goes back.
func (d *desk) checkRevisions() {
	d.Helper()
	d.want(exitUsage, []string{"at its first revision"}, "backfill", "cancel", "--yes")
	d.want(exitUsage, []string{"is no rate"}, "backfill", "rate", "many")
	was, err := os.ReadFile(filepath.Join(d.dir, "flow.yaml"))
	if err != nil {
		d.Fatal(err)
	}
	d.write("flow.yaml", strings.Replace(string(was), "title: body.title", `title: 'body.title.or("") + "!"'`, 1))
	d.want(exitUsage, []string{"--destroy table:chunk: the change does not destroy that, but nothing"}, "apply", "--yes", "--destroy", "table:chunk")
	d.want(exitUsage, []string{"has target local still"}, "apply", "--yes", "--drop", "target:local")
	d.want(exitUsage, []string{"has target gone"}, "apply", "--yes", "--drop", "target:gone")
	var done applied
	d.json(&done, "apply", "apply", "--yes", "--rate", "0.001")
	if !done.Recorded || done.Revision != 2 || !slices.Equal(done.Changes, []string{"table chunks changed"}) {
		d.Errorf("applied %+v", done)
	}
	d.want(exitDone, []string{"the backfill is paused"}, "backfill", "pause")
	d.until("both replicas wait with the second revision", func() bool {
		s := d.overview()
		return slices.Equal(s.Revisions, []int64{2}) && len(s.Replicas) == 2 && s.Backfill != nil && s.Backfill.Left == 2 && s.Backfill.Paused
	})
	d.want(exitDone, []string{"running, revision 2", "backfill   2 documents to be evaluated again, paused"}, "status")
	var s overview
	d.json(&s, "status", "status")
	d.want(exitDone, []string{"the backfill is paused"}, "backfill", "rate", "50")
	d.want(exitDone, []string{"takes 50 documents a second"}, "backfill", "resume")
	evaluated := func(revision int64) func() bool {
		return func() bool {
			s := d.overview()
			return slices.Equal(s.Revisions, []int64{revision}) && len(s.Partitions) == 2 && s.Backfill == nil
		}
	}
	d.until("the second revision has evaluated all", evaluated(2))
	d.caughtUp(2, 2)
	d.want(exitDone, []string{"Install!"}, "search", "local", "wait")
	d.want(exitDone, []string{"revision 3 is in force"}, "backfill", "cancel", "--yes")
	d.until("all is as it was", evaluated(3))
	d.caughtUp(2, 2)
	d.write("flow.yaml", string(was))
	d.json(&done, "apply", "apply", "--yes")
	if done.Recorded || done.Revision != 3 {
		d.Errorf("applied what is in force: %+v", done)
	}
	list := d.run("revisions", "--json")
	for line := range strings.Lines(list.out) {
		if err := d.conforms("revisions", line); err != nil {
			d.Error(err)
		}
	}
	if n := strings.Count(list.out, "\n"); n != 3 {
		d.Errorf("%d revisions are listed: %s%s", n, list.out, list.err)
	}
	d.wantWhole()
}
