package e2e

// keptInStep lets the binary deliver pages as they are made, edited and deleted. texts is what the target holds, a line `<document> <text>` for
// each row; what is the target's word for where.
func (p *project) keptInStep(what string, texts func() []string) {
	p.t.Helper()
	p.write("docs/a.md", "Herons fish at dawn.")
	p.write("docs/b.md", "The pump was painted green.")
	p.devOnce()
	same(p.t, what, texts(), []string{"page/a.md Herons fish at dawn.", "page/b.md The pump was painted green."})

	p.write("docs/a.md", "Herons sleep at noon.")
	p.remove("docs/b.md")
	p.devOnce()
	same(p.t, what, texts(), []string{"page/a.md Herons sleep at noon."})
}

// fourPages delivers the pages a to d.
func (p *project) fourPages(target string) {
	p.t.Helper()
	for _, name := range []string{"a", "b", "c", "d"} {
		p.write("docs/"+name+".md", "Herons fish at dawn, says "+name+".")
	}
	p.devOnce()
	p.clean(target, 4)
}

// planted demands that what is altered by hand in the target, of four pages, is found and repaired: spoil removes the row of a, edits the text of b and
// turns the vector of c; displace gives the row of d an older version and adds one of a document `page/none.md`.
func (p *project) planted(target string, spoil, displace func()) {
	p.t.Helper()
	spoil()
	p.finds(target, "column page/b.md text", "missing page/a.md", "vector page/c.md embedding")
	p.repairs(target, 3, p.partitions(target)...)
	p.clean(target, 4)

	displace()
	p.finds(target, "extra page/none.md", "version page/d.md")
	p.repairs(target, 2)
	p.clean(target, 4)
}
