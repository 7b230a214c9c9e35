package index

import "io/fs"

func diskSize(info fs.FileInfo) int64 { return info.Size() }

// syncDir does nothing: there a rename lasts by itself.
func syncDir(string) error { return nil }
