package postgres

// CopyFrom sets how many upserts of a table go by COPY.
func (s *Sink) CopyFrom(rows int) { s.copyFrom = rows }
