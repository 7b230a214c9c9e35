package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/clipsearch/clipsearch/trainer"
)

// Curve is a figure of the page.
type Curve struct {
	Title string
	SVG   template.HTML // drawn here, of numbers and our own words
}

// line is one line of a figure.
type line struct {
	name   string // "": it is the only one
	color  color.RGBA
	dots   bool // few values: each is marked
	points plotter.XYs
}

var (
	blue   = color.RGBA{0x25, 0x63, 0xeb, 0xff}
	orange = color.RGBA{0xd9, 0x77, 0x06, 0xff}
	gray   = color.RGBA{0xb8, 0xc4, 0xd6, 0xff}
)

// curves draws the figures of a run.
func curves(steps []trainer.StepLine, validations []trainer.Figures) ([]Curve, error) {
	var list []Curve
	for _, f := range []struct {
		title string
		lines []line
	}{
		{"Loss of a step, and its running mean", lossLines(steps)},
		{"Recall on the validation split", recallLines(validations)},
		{"Learning rate", single(steps, func(l trainer.StepLine) float64 { return l.Rate })},
		{"logit_scale", single(steps, func(l trainer.StepLine) float64 { return l.LogitScale })},
		{"Norm of the gradient, before clipping", single(steps, func(l trainer.StepLine) float64 { return l.Norm })},
		{"Samples a second", single(steps, func(l trainer.StepLine) float64 { return l.SamplesPerSecond })},
	} {
		if len(f.lines) == 0 || len(f.lines[0].points) == 0 {
			continue
		}
		svg, err := drawn(f.lines)
		if err != nil {
			return nil, fmt.Errorf("curve %q: %w", f.title, err)
		}
		list = append(list, Curve{f.title, svg})
	}
	return list, nil
}

func single(steps []trainer.StepLine, value func(trainer.StepLine) float64) []line {
	return []line{{"", blue, false, thin(points(steps, value))}}
}

func lossLines(steps []trainer.StepLine) []line {
	each := points(steps, func(l trainer.StepLine) float64 { return l.Loss })
	mean := make(plotter.XYs, len(each))
	for i, p := range each {
		if mean[i] = p; i > 0 {
			mean[i].Y = 0.95*mean[i-1].Y + 0.05*p.Y
		}
	}
	return []line{{"a step", gray, false, thin(each)}, {"running mean", blue, false, thin(mean)}}
}

func points(steps []trainer.StepLine, value func(trainer.StepLine) float64) plotter.XYs {
	var list plotter.XYs
	for _, l := range steps {
		if y := value(l); !math.IsNaN(y) && !math.IsInf(y, 0) {
			list = append(list, plotter.XY{X: float64(l.Step), Y: y})
		}
	}
	return list
}

func recallLines(validations []trainer.Figures) []line {
	var list []line
	for i, at := range []struct {
		k     string
		value func(*trainer.Recalls) float64
	}{
		{"10", func(r *trainer.Recalls) float64 { return r.R10 }},
		{"5", func(r *trainer.Recalls) float64 { return r.R5 }},
		{"1", func(r *trainer.Recalls) float64 { return r.R1 }},
	} {
		t2i, i2t := line{name: "text→image R@" + at.k, color: lighter(blue, i), dots: true}, line{name: "image→text R@" + at.k, color: lighter(orange, i), dots: true}
		for _, v := range validations {
			if v.TextToImage == nil || v.ImageToText == nil {
				continue
			}
			t2i.points = append(t2i.points, plotter.XY{X: float64(v.Step), Y: 100 * at.value(v.TextToImage)})
			i2t.points = append(i2t.points, plotter.XY{X: float64(v.Step), Y: 100 * at.value(v.ImageToText)})
		}
		list = append(list, t2i, i2t)
	}
	return list
}

// lighter mixes a colour with white, by so many quarters.
func lighter(c color.RGBA, quarters int) color.RGBA {
	mix := func(x uint8) uint8 { return uint8((int(x)*(4-quarters) + 255*quarters) / 4) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// thin leaves means of neighbours, as many as can be told apart.
func thin(all plotter.XYs) plotter.XYs {
	const most = 600
	if len(all) <= most {
		return all
	}
	list := make(plotter.XYs, most)
	for i := range list {
		part := all[i*len(all)/most : (i+1)*len(all)/most]
		for _, p := range part {
			list[i].X += p.X / float64(len(part))
			list[i].Y += p.Y / float64(len(part))
		}
	}
	return list
}

// drawn is a figure as SVG that can stand in a page.
func drawn(lines []line) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text = "step"
	for _, style := range []*font.Font{&p.X.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		style.Variant, style.Size = "Sans", vg.Points(10)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.RGBA{0xe5, 0xe7, 0xeb, 0xff}, color.RGBA{0xe5, 0xe7, 0xeb, 0xff}
	p.Add(grid)
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, len(lines) > 2, vg.Points(4)
	for _, l := range lines {
		drawn, marks, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return "", err
		}
		drawn.Color, drawn.Width = l.color, vg.Points(1.4)
		p.Add(drawn)
		if l.dots {
			marks.Color, marks.Radius, marks.Shape = l.color, vg.Points(1.8), draw.CircleGlyph{}
			p.Add(marks)
		}
		if l.name != "" {
			p.Legend.Add(l.name, drawn)
		}
	}
	room(&p.Y, len(lines) > 2)
	p.Y.Tick.Marker = plot.TickerFunc(distinct)
	c := vgsvg.New(480, 240)
	p.Draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	text := b.Bytes()
	return template.HTML(text[max(0, bytes.Index(text, []byte("<svg"))):]), nil // without the XML declaration
}

// distinct are gonum's ticks with as many digits as it takes to tell their labels apart.
func distinct(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for digits := 3; digits < 12; digits++ {
		seen, same := map[string]bool{}, false
		for i, t := range ticks {
			if t.IsMinor() {
				continue
			}
			ticks[i].Label = strconv.FormatFloat(t.Value, 'g', digits, 64)
			same = same || seen[ticks[i].Label]
			seen[ticks[i].Label] = true
		}
		if !same {
			break
		}
	}
	return ticks
}

// room lets an axis begin at zero where that is near, shows what hardly changes as
// level, so that its ticks differ, and leaves some above for a legend.
func room(axis *plot.Axis, legend bool) {
	if least := 0.02 * math.Abs(axis.Max); axis.Max-axis.Min < least {
		middle := (axis.Max + axis.Min) / 2
		axis.Min, axis.Max = middle-least, middle+least
	}
	if axis.Max == axis.Min {
		axis.Min, axis.Max = axis.Min-1, axis.Max+1
	}
	if axis.Min > 0 && axis.Min < axis.Max/2 {
		axis.Min = 0
	}
	if legend {
		axis.Max += (axis.Max - axis.Min) * 0.6
	}
}
