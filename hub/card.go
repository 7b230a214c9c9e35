package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxCard bounds what is read of a card or a configuration, in bytes.
const maxCard = 1 << 20

// read returns the beginning of a file of the snapshot.
func (s Snapshot) read(name string) []byte {
	f, err := os.Open(filepath.Join(s.Dir, filepath.FromSlash(name)))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxCard))
	return data
}

func (s Snapshot) modelType() string { return modelAnswer{Config: s.read("config.json")}.modelType() }

// Licence is what the snapshot's card says of it, or "".
func (s Snapshot) Licence() string { return cardLicence(string(s.read("README.md"))) }

// cardLicence reads the licence in the YAML between two lines of dashes at the
// beginning of a card: a word behind "license:", or the name that "other" has.
func cardLicence(card string) string {
	card = strings.ReplaceAll(strings.TrimPrefix(card, "\ufeff"), "\r\n", "\n")
	head, ok := strings.CutPrefix(card, "---\n")
	if !ok {
		return ""
	}
	head, _, ok = strings.Cut(head, "\n---")
	if !ok {
		return ""
	}
	var licence, name string
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(line, ":")
		value = words(strings.Trim(strings.TrimSpace(value), `"'`))
		switch key {
		case "license":
			licence = value
		case "license_name":
			name = value
		}
	}
	if name != "" && (licence == "" || licence == "other") {
		return name
	}
	return licence
}

// NonCommercial reports whether a licence, as the hub writes them, allows no
// commercial use: those of Creative Commons with NC, and Apple's and other research
// terms.
func NonCommercial(licence string) bool {
	l := strings.ToLower(licence)
	for _, sign := range []string{"-nc", "apple-amlr", "apple-ml-research", "research-only", "non-commercial", "noncommercial"} {
		if strings.Contains(l, sign) {
			return true
		}
	}
	return false
}

// Prove compares files of the snapshot, given with their SHA-256, with what the names
// of their blobs say they are. A snapshot of copies has no such names, and a file that
// lies in git has another digest: these are taken as they are.
func (s Snapshot) Prove(sha256 map[string]string) error {
	for name, sum := range sha256 {
		to, err := os.Readlink(filepath.Join(s.Dir, filepath.FromSlash(name)))
		if err != nil {
			continue
		}
		if blob := filepath.Base(to); hexSHA256.MatchString(blob) && blob != sum {
			return fmt.Errorf("%s of %s is not what the hub has (SHA-256 %.12s…, not %.12s…): get it again with `clipsearch model pull %s`", name, s.Repo, sum, blob, s.Repo)
		}
	}
	return nil
}

// Lacks says what a wish lacks in the snapshot, or nothing. Python may have loaded some
// of its files only.
func (s Snapshot) Lacks(w Wish) error {
	_, err := Choose(s.names(), w)
	return err
}

// Describe tells of an installed model as Pull does, without asking anybody: its files
// are hashed, and proven as far as the names of their blobs go.
func (s Snapshot) Describe(w Wish) (Pulled, error) {
	c, err := Choose(s.names(), w)
	if err != nil {
		return Pulled{}, fmt.Errorf("what is installed of %s is not all that is needed: %w", s.Repo, err)
	}
	p := Pulled{Repo: s.Repo, Commit: s.Commit, Dir: s.Dir, Layout: c.Layout, Licence: s.Licence()}
	sums := map[string]string{}
	for _, n := range c.Files {
		st, err := os.Stat(filepath.Join(s.Dir, filepath.FromSlash(n)))
		if err != nil {
			return Pulled{}, err
		}
		_, sum, err := hashFile(filepath.Join(s.Dir, filepath.FromSlash(n)), File{Bytes: st.Size()})
		if err != nil {
			return Pulled{}, err
		}
		sums[n] = sum
		p.Files = append(p.Files, PulledFile{n, st.Size(), sum})
		p.Bytes += st.Size()
	}
	return p, s.Prove(sums)
}

var errNoJSON = errors.New("no JSON")

// decode reads JSON strictly, for files of our own.
func decode(data []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %v", errNoJSON, err)
	}
	return nil
}
