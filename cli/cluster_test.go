package cli

import (
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
