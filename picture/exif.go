package picture

import (
	"bytes"
	"strings"
	"time"
	"unicode"

	"github.com/bep/imagemeta"
)

// readEXIF fills in what the EXIF block tells. A block that cannot be read tells
// nothing: the picture is none the worse.
func readEXIF(file []byte, info *Info) {
	format, ok := exifIn(file, info.Format)
	if !ok {
		return
	}
	tags := make(map[string]any)
	_, _ = imagemeta.Decode(imagemeta.Options{
		R:            bytes.NewReader(file),
		ImageFormat:  format,
		Sources:      imagemeta.EXIF,
		LimitNumTags: 2000,
		LimitTagSize: 256,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool {
			switch t.Tag {
			case "Orientation", "Make", "Model", "DateTimeOriginal", "OffsetTimeOriginal":
				return strings.HasPrefix(t.Namespace, "IFD0") // not the embedded thumbnail's
			}
			return false
		},
		HandleTag: func(t imagemeta.TagInfo) error {
			if tags[t.Tag] == nil {
				tags[t.Tag] = t.Value
			}
			return nil
		},
	})
	if n, ok := tags["Orientation"].(uint16); ok && n >= 1 && n <= 8 {
		info.Orientation = int(n)
	}
	info.Camera = camera(text(tags["Make"]), text(tags["Model"]))
	info.TakenAt = takenAt(text(tags["DateTimeOriginal"]), text(tags["OffsetTimeOriginal"]))
}

// exifIn tells whether it is worth looking for EXIF in file, and where.
func exifIn(file []byte, format string) (imagemeta.ImageFormat, bool) {
	switch format {
	case "jpeg":
		return imagemeta.JPEG, bytes.Contains(file, []byte("Exif\x00\x00"))
	case "png":
		return imagemeta.PNG, bytes.Contains(file, []byte("eXIf"))
	case "webp":
		return imagemeta.WebP, bytes.Contains(file, []byte("EXIF"))
	case "tiff":
		return imagemeta.TIFF, true
	}
	return 0, false
}

// text returns v if it is a text, of one line and without what surrounds it.
func text(v any) string {
	s, _ := v.(string)
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// camera joins maker and model; many a model names its maker again.
func camera(maker, model string) string {
	if maker == "" || len(model) >= len(maker) && strings.EqualFold(model[:len(maker)], maker) {
		return model
	}
	return strings.TrimSpace(maker + " " + model)
}

// takenAt reads EXIF's date, with the zone's offset where the camera wrote one,
// else as if its clock showed UTC: the day and the hour are then as the
// photographer knew them.
func takenAt(date, offset string) time.Time {
	if t, err := time.Parse("2006:01:02 15:04:05-07:00", date+offset); err == nil {
		return t
	}
	t, err := time.Parse("2006:01:02 15:04:05", date)
	if err != nil || t.Year() < 1 {
		return time.Time{}
	}
	return t
}
