package trainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// RecordName is the file in the folder of a run that says what the run is, and
// when it has ended, what came of it.
const RecordName = "train.json"

// recordVersion is of that file's form.
const recordVersion = 1

// Record says what is needed to do a run again.
type Record struct {
	Version     int         `json:"version"`
	Name        string      `json:"name"`    // of the model, unless the configuration has one
	Command     []string    `json:"command"` // as it was typed
	Config      Config      `json:"config"`
	Data        DataRecord  `json:"data"`
	Init        string      `json:"init_space,omitempty"` // digest of the model that was trained on
	Environment Environment `json:"environment"`
	Started     time.Time   `json:"started"`
	Batch       int         `json:"batch"`      // pairs of a step
	Parameters  int64       `json:"parameters"` // numbers that are trained
	Resumed     int         `json:"resumed"`    // how often
	Result      *Result     `json:"result"`     // nil: it has not ended
	Validations []Figures   `json:"validations,omitempty"`
}

// DataRecord says what data a run is of.
type DataRecord struct {
	File     string    `json:"file"`
	Images   string    `json:"images,omitempty"`
	Eval     string    `json:"eval,omitempty"`  // another file, to validate on
	Parts    string    `json:"parts,omitempty"` // digest of the files that a network is composed of, and of prompts
	Train    SetRecord `json:"train"`
	Validate SetRecord `json:"validate"`
}

// SetRecord is one split.
type SetRecord struct {
	Pictures int    `json:"pictures"`
	Captions int    `json:"captions"`
	Digest   string `json:"digest,omitempty"` // of names, sizes and captions
}

// Environment is where the last digits of a loss come from.
type Environment struct {
	Program string `json:"program"` // version and commit
	Runtime string `json:"onnxruntime"`
	System  string `json:"system"` // operating system, architecture, processor
	Threads int    `json:"threads"`
}

// Result is what came of a run.
type Result struct {
	Steps   int       `json:"steps"`
	Loss    float64   `json:"train_loss"` // of the last steps, smoothed
	Best    Figures   `json:"best"`       // of the weights that were exported
	Seconds float64   `json:"seconds"`
	Ended   time.Time `json:"ended"`
}

// Recalls are the shares of queries that find something right among the first k.
type Recalls struct {
	R1  float64 `json:"recall@1"`
	R5  float64 `json:"recall@5"`
	R10 float64 `json:"recall@10"`
}

// Figures are what a validation found.
type Figures struct {
	Step        int      `json:"step"`
	Loss        float64  `json:"train_loss"`    // at that step, smoothed
	TextToImage *Recalls `json:"text_to_image"` // nil: nothing was validated on
	ImageToText *Recalls `json:"image_to_text"`
	Mean        float64  `json:"mean_recall"` // of the six
	Weights     uint32   `json:"crc32c,omitempty"`
}

// value is the figure that best is chosen by.
func (f Figures) value(best string) float64 {
	switch best {
	case "text_to_image_recall@1":
		return f.TextToImage.R1
	case "image_to_text_recall@1":
		return f.ImageToText.R1
	case "last":
		return float64(f.Step)
	}
	return f.Mean
}

// MeanRecall is the mean of the six recalls.
func MeanRecall(a, b Recalls) float64 { return (a.R1 + a.R5 + a.R10 + b.R1 + b.R5 + b.R10) / 6 }

// ReadRecord reads the record of the run in dir.
func ReadRecord(dir string) (Record, error) {
	var r Record
	name := filepath.Join(dir, RecordName)
	text, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, invalid("%s is no record of a run: %v", name, err)
	}
	if r.Version < 1 || r.Version > recordVersion {
		return r, invalid("%s has version %d, and this program reads up to %d: take a newer one", name, r.Version, recordVersion)
	}
	return r, nil
}

// same returns an error that says how a run that is to go on differs from what it was.
func (r Record) same(now Record) error {
	list := r.Config.differences(now.Config)
	differ := func(what string, was, is any) {
		if was != is {
			list = append(list, fmt.Sprintf("%s is %v, not %v", what, is, was))
		}
	}
	for _, s := range []struct {
		name    string
		was, is SetRecord
	}{{"training", r.Data.Train, now.Data.Train}, {"validation", r.Data.Validate, now.Data.Validate}} {
		differ("the number of "+s.name+" pictures", s.was.Pictures, s.is.Pictures)
		differ("the number of "+s.name+" captions", s.was.Captions, s.is.Captions)
		if s.was.Pictures == s.is.Pictures && s.was.Captions == s.is.Captions {
			differ("the digest of the "+s.name+" data's names, sizes and captions", short(s.was.Digest), short(s.is.Digest))
		}
	}
	differ("the digest of the model that is trained on", short(r.Init), short(now.Init))
	differ("the digest of the backbones and prompts", short(r.Data.Parts), short(now.Data.Parts))
	if len(list) == 0 {
		return nil
	}
	return invalid("this is not the run that was begun: %s: give it what it was begun with, or begin another with another --out", strings.Join(list, "; "))
}

func short(digest string) string { return digest[:min(12, len(digest))] }

// unlike says which of the things differ that last digits of losses come from.
func (e Environment) unlike(now Environment) (list []string) {
	for _, d := range []struct{ name, was, is string }{
		{"the program", e.Program, now.Program},
		{"ONNX Runtime", e.Runtime, now.Runtime},
		{"the system", e.System, now.System},
		{"the number of threads", fmt.Sprint(e.Threads), fmt.Sprint(now.Threads)},
	} {
		if d.was != d.is {
			list = append(list, fmt.Sprintf("%s is %s, not %s", d.name, d.is, d.was))
		}
	}
	return list
}
