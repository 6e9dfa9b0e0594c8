package main

import (
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const events = `{"Action":"build-output","ImportPath":"m/broken","Output":"x.go:1:1: syntax error\n"}
{"Action":"run","Package":"m/a","Test":"TestGood"}
{"Action":"output","Package":"m/a","Test":"TestGood","Output":"    a_test.go:1: quiet\n"}
{"Action":"pass","Package":"m/a","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"m/a","Test":"TestSkip","Output":"=== RUN   TestSkip\n"}
{"Action":"output","Package":"m/a","Test":"TestSkip","Output":"    a_test.go:9: SKIP-COMPONENT kafka: no java in PATH\n"}
{"Action":"output","Package":"m/a","Test":"TestSkip","Output":"--- SKIP: TestSkip (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestSkip","Elapsed":0}
{"Action":"output","Package":"m/a","Test":"TestBad","Output":"    a_test.go:5: want 1\n"}
{"Action":"fail","Package":"m/a","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t90.000s\n"}
{"Action":"fail","Package":"m/a","Elapsed":90}
`
	var out strings.Builder
	r := &report{out: &out, all: io.Discard}
	if err := r.read("one", strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summary("test.log")
	for _, want := range []string{
		"x.go:1:1: syntax error\n",
		"a_test.go:5: want 1\nFAIL\tm/a\t90.000s\n",
		"   1.5 min  m/a\n",
		"SKIPPED m/a TestSkip: a_test.go:9: SKIP-COMPONENT kafka: no java in PATH\n",
		"FAIL\n1 passed, 1 failed, 1 skipped\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("the report prints the output of a test that passed:\n%s", out.String())
	}
}
