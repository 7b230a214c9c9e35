package captions

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// File returns the file that data names: data itself, or the first of
// the known names in the folder that it is. What dataset names goes before others.
func File(data, dataset string) (string, error) {
	info, err := os.Stat(data)
	if err != nil {
		return "", invalid("data %s: %v", data, err)
	}
	if !info.IsDir() {
		return data, nil
	}
	patterns := []string{"karpathy.json", "dataset_" + dataset + ".json", "dataset_*.json", "karpathy_test.json", "*_test_karpathy.txt", "results_20130124.token", "captions_*.json"}
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(literally(data), p))
		if err != nil {
			return "", invalid("data %s: %v", data, err)
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return "", invalid("data %s holds %d files called %s: name one of them, as %s", data, len(found), p, found[0])
		}
	}
	return "", invalid("data %s holds none of %s", data, strings.Join(slices.Delete(patterns, 1, 2), ", "))
}

// literally escapes what Glob would read as a pattern.
func literally(dir string) string {
	if os.PathSeparator == '\\' {
		return dir // where there is no escaping
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// Find returns the first place where the picture lies, or "": below images, if that
// is not empty, then near the annotation file, which is in dir.
func (p Picture) Find(dir, images string) string {
	var places []string
	if images != "" {
		places = append(places, filepath.Join(images, p.Folder, p.Name), filepath.Join(images, p.Name))
	}
	if p.Folder != "" {
		places = append(places, filepath.Join(dir, p.Folder, p.Name))
	}
	for _, sub := range []string{"images", "train2014", "val2014", ""} {
		places = append(places, filepath.Join(dir, sub, p.Name))
	}
	for _, place := range places {
		if info, err := os.Stat(place); err == nil && !info.IsDir() {
			return place
		}
	}
	return ""
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}
