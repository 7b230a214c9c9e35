package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// checkPace measures speed and memory. It says what they are, and judges nothing.
func (d *doctor) checkPace(ctx context.Context) {
	says := ""
	if d.photos != nil {
		photos := readAlbum().photos
		if t := timed(func() error { _, err := d.enc.RawImages(ctx, photos); return err }); t > 0 {
			says = fmt.Sprintf("%.1f photographs/s, ", float64(len(photos))/t.Seconds())
		}
	}
	if d.texts != nil && d.words != nil {
		captions := readAlbum().Captions["en"]
		if t := timed(func() error { _, err := d.enc.RawTexts(ctx, captions); return err }); t > 0 {
			says += fmt.Sprintf("%.0f captions/s, ", float64(len(captions))/t.Seconds())
		}
	}
	if says == "" {
		return
	}
	threads := max(1, d.opts.Embed.Threads)
	says += fmt.Sprintf("%d threads", threads)
	if mb := residentMB(); mb > 0 {
		says += fmt.Sprintf(", %d MB of memory in this process", mb)
	}
	d.pass("pace", "%s", says)
}

func timed(f func() error) time.Duration {
	start := time.Now()
	if f() != nil {
		return 0
	}
	return time.Since(start)
}

// residentMB returns how much memory this process holds, or 0 where the system does
// not tell it in Linux's way.
func residentMB() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	parts := bytes.Fields(data)
	if len(parts) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(parts[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize()) >> 20
}
