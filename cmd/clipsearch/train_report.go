package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch/picture"
	"github.com/clipsearch/clipsearch/trainer"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/report"
)

// reportName is the page in the directory of a model that was trained.
const reportName = "report.html"

// writeTrainReport writes the page about a run.
func (a *app) writeTrainReport(ctx context.Context, t *trainer.Training, out, dir string, rec trainer.Record) error {
	steps, err := trainer.ReadLog(out)
	if err != nil {
		return err
	}
	e, err := t.Embed(ctx)
	if err != nil {
		return err
	}
	page := report.Report{Record: rec, Model: trainedName(rec), Steps: steps, Samples: report.Retrievals(e, thumbOf)}
	f, err := os.Create(filepath.Join(dir, reportName))
	if err != nil {
		return err
	}
	return errors.Join(page.Write(f), f.Close())
}

// modelCard is the card of the model that a run made.
func (a *app) modelCard(rec trainer.Record) string {
	return report.Report{Record: rec, Model: trainedName(rec)}.Card()
}

func trainedName(rec trainer.Record) string { return cmp.Or(rec.Config.Name, rec.Name) }

// thumbOf is a small JPEG of a picture, or nil.
func thumbOf(it data.Item) []byte {
	const side = 112
	file, err := it.Read()
	if err != nil {
		return nil
	}
	img, err := decodeUpright(file)
	if err != nil {
		return nil
	}
	small, err := picture.Thumb(img, side)
	if err != nil {
		return nil
	}
	return small
}
