package clip

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// pickleNames are the files that PyTorch's own save writes, whatever is in them.
var pickleNames = regexp.MustCompile(`^(open_clip_)?pytorch_model.*\.bin$|\.(pt|pth|ckpt|pkl|pickle)$`)

// isPickle reports whether a file that begins so is a pickle, or an archive of
// them: PyTorch has written the first until 2020 and the second since. A
// safetensors file may begin like a pickle too, but with zeros soon after.
func isPickle(start []byte) bool {
	const archive, protocol = "PK\x03\x04", "\x80"
	switch s := string(start); {
	case strings.HasPrefix(s, archive):
		return true
	case strings.HasPrefix(s, protocol) && len(s) >= 8:
		return s[1] >= 2 && s[1] <= 5 && binary.LittleEndian.Uint64(start) > maxHeader
	}
	return false
}

// refusePickles returns why the weights in a directory are not read, if it holds
// pickles; to be asked where there are no others.
func refusePickles(fsys fs.FS, dir string) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if pickleNames.MatchString(e.Name()) {
			return pickled(path.Join(dir, e.Name()))
		}
	}
	for _, e := range entries {
		if name := path.Join(dir, e.Name()); path.Ext(name) == ".bin" && beginsAsPickle(fsys, name) {
			return pickled(name)
		}
	}
	return nil
}

func beginsAsPickle(fsys fs.FS, name string) bool {
	f, err := openWeightsFile(fsys, name)
	if err != nil {
		return false
	}
	defer f.Close()
	start, err := f.bytes(0, min(f.size, 16))
	return err == nil && isPickle(start)
}

// pickled refuses a pickle. Even PyTorch's weights_only, the best there is, has
// been broken (CVE-2025-32434), so none is read here.
func pickled(name string) error {
	base, safe := path.Base(name), "model.safetensors"
	if strings.Contains(base, "open_clip") {
		safe = "open_clip_model.safetensors"
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`).MatchString(base) { // it goes into a command
		base = "FILE"
	}
	return fmt.Errorf("%q is a pickle, which can run any program when it is read, so it is not read here: take %s of the same repository, or write it where you trust the file: "+
		`python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone().contiguous() for k, v in torch.load('%s', weights_only=True).items()}, '%s')": %w`,
		name, safe, base, safe, clipsearch.ErrInvalid)
}
