//go:build !crashpoints

package cli

import "time"

// crashPoint is where tests stop the process; a normal build has no such points.
var crashPoint func(point string)

// patience is what tests shorten; 0: as documented.
func patience() time.Duration { return 0 }
