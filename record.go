package clipsearch

// Record is all that an index holds of one picture, in every space: what an export
// writes and an import reads.
type Record struct {
	Image
	Thumb   []byte // JPEG
	Vectors []SpaceVectors
}

// SpaceVectors are the vectors that a picture has in one space.
type SpaceVectors struct {
	Space    Space
	Vectors  []Vector // the first is the whole picture, more are frames or tiles
	Thumb    bool     // Vectors were made of the thumbnail, the original was not there
	Captions []Vector // one for each of the picture's captions, or nil
}

// SpaceModel says which model made the vectors of a space.
type SpaceModel struct {
	Space Space  `json:"digest"`
	Model string `json:"model"`
	Dim   int    `json:"dim"`
}

// Imported counts what became of records that were imported.
type Imported struct {
	Stored  int `json:"stored"`  // pictures that are new
	Known   int `json:"known"`   // pictures that were there
	Skipped int `json:"skipped"` // pictures all of whose paths are other pictures' by now
}

// Salvaged is a page of what can be read of an index that has come to harm.
type Salvaged struct {
	Records []Record // without what Lost names
	Lost    []Loss
	After   ID   // up to which picture the page is
	Done    bool // there is nothing after it
}

// Loss is what cannot be read of a picture.
type Loss struct {
	ID      ID
	Picture bool // what is known of it, and so all
	Thumb   bool
	Vectors int // in all spaces, those of its captions too
}
