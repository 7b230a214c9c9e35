package clip

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// hfConfigFile is where the configuration of open_clip's hf tower lies.
func hfConfigFile(model string) string { return path.Join(model, "config.json") }

// openHFText is to come.
func openHFText(fs.FS, openText) (func(*params) *onnx.Value, error) {
	return nil, fmt.Errorf("open_clip_config.json: towers of transformers are not built here: %w", clipsearch.ErrInvalid)
}
