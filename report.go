package clipsearch

// TextHit is a text found for a picture: one of its captions or labels.
type TextHit struct {
	Text  string
	Score float32 // cosine
}

// Stats is what an index tells of itself.
type Stats struct {
	Images        int              `json:"images"`
	Files         int              `json:"files"`
	Captions      int              `json:"captions"`
	Model         string           `json:"model"` // of the space that answers
	Dim           int              `json:"dim"`
	Bytes         map[string]int64 `json:"bytes"` // on disk, by part: "store", "text", "models"
	MemoryBytes   int64            `json:"memory_bytes"`
	TextDocuments int              `json:"text_documents"`
	Spaces        []SpaceStats     `json:"spaces"`
	Damage        string           `json:"damage,omitempty"` // what is known to be lost, so that the counts may be wrong
}

// SpaceStats counts the vectors of one space.
type SpaceStats struct {
	Model  string `json:"model"`
	Digest Space  `json:"digest"`
	Dim    int    `json:"dim"`
	Images int    `json:"images"`
	Thumbs int    `json:"from_thumbnails,omitempty"` // of Images, whose vectors were made of thumbnails
	Active bool   `json:"active"`                    // this one answers
	Next   bool   `json:"next,omitempty"`            // the index is being changed to this one
}

// Problem is one thing that a check of an index found wrong.
type Problem struct {
	What       string `json:"what"`
	ID         string `json:"id"` // of the picture, or the key where there is none
	Repairable bool   `json:"repairable"`
}
