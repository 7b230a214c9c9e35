package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// listedTables returns the tables that Badger's list names, the newest last; none
// where there is no store yet.
func listedTables(dir string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		if stray, _ := filepath.Glob(filepath.Join(dir, "*.sst")); len(stray) > 0 {
			return nil, fmt.Errorf("%s is missing", badger.ManifestFilename)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("%s: %s", badger.ManifestFilename, oneLine(err))
	}
	var names []string
	for id := range m.Tables {
		names = append(names, filepath.Join(dir, fmt.Sprintf("%06d.sst", id)))
	}
	slices.Sort(names)
	return names, nil
}
