package doctor

import "fmt"

// The verdicts, of a check and of the whole.
const (
	OK       = "ok"
	Unproven = "unproven" // nothing wrong was found, but it could not be proven right
	Broken   = "broken"
)

// A Check is one thing that was looked at.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"` // nothing is known to be wrong or missing
	Detail  string `json:"detail"`
	Verdict string `json:"verdict"`
}

// A Report is what Examine found. Its verdict is the worst of its checks.
type Report struct {
	Verdict string  `json:"verdict"`
	OK      bool    `json:"ok"` // the verdict is not Broken
	Checks  []Check `json:"checks"`
}

// Unreadable is the report on a model of which not even the layout could be read.
func Unreadable(err error) Report {
	r := newReport()
	r.fail("layout", "%v", err)
	return r
}

func newReport() Report { return Report{Verdict: OK, OK: true, Checks: []Check{}} }

func (r *Report) pass(name, format string, args ...any) { r.add(name, OK, true, format, args) }

// unsure notes what could not be proven.
func (r *Report) unsure(name, format string, args ...any) {
	r.add(name, Unproven, true, format, args)
}

// lack notes what is missing, which makes a model unproven but not broken.
func (r *Report) lack(name, format string, args ...any) { r.add(name, Unproven, false, format, args) }

func (r *Report) fail(name, format string, args ...any) { r.add(name, Broken, false, format, args) }

func (r *Report) add(name, verdict string, ok bool, format string, args []any) {
	r.Checks = append(r.Checks, Check{name, ok, fmt.Sprintf(format, args...), verdict})
	if verdict == Broken || verdict == Unproven && r.Verdict == OK {
		r.Verdict = verdict
	}
	r.OK = r.Verdict != Broken
}

// Failed returns the first check that found the model broken.
func (r Report) Failed() (Check, bool) {
	for _, c := range r.Checks {
		if c.Verdict == Broken {
			return c, true
		}
	}
	return Check{}, false
}
