package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExitCodes holds the contract's codes, that stdout stays empty on an error,
// and that the error is one line.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("words"), 0o644); err != nil {
		t.Fatal(err)
	}
	const texts = "../../embed/testdata/models/multilingual-clip" // no pictures, no tokenizer
	for _, tt := range []struct {
		args string
		want int
		says string
	}{
		{"version", exitDone, ""},
		{"--help", exitDone, ""},
		{"frobnicate", exitMistake, `unknown command or argument "frobnicate"`},
		{"search dog --frobnicate", exitMistake, "unknown flag"},
		{"search dog --limit x", exitMistake, "invalid argument"},
		{"search dog --limit 0", exitMistake, "limit 0"},
		{"search dog --offset -1", exitMistake, "offset -1"},
		{"search dog --min-relevance 7", exitMistake, "between 0 and 1"},
		{"search dog --mode psychic", exitMistake, "psychic"},
		{"search after:soon", exitMistake, `"soon"`},
		{"search", exitMistake, "the query is empty"},
		{"search dog --index " + filepath.Join(dir, "none"), exitFailed, "there is no index"},
		{"search dog --index " + file, exitMistake, file},
		{"ingest " + filepath.Join(dir, "none"), exitMistake, "no such file or folder"},
		{"ingest " + dir + " --jobs -1", exitMistake, "between 1 and 1024"},
		{"ingest " + dir + " --batch 100000000", exitMistake, "between 1 and 1024"},
		{"serve --addr 127.0.0.1:99999", exitMistake, "99999"},
		{"stats --index=", exitMistake, "--index is empty"},
		{"serve --addr 0.0.0.0:0", exitMistake, "--api-key-file"},
		{"serve --addr nonsense", exitMistake, "--addr"},
		{"serve --tls-cert " + file, exitMistake, "belong together"},
		{"describe " + filepath.Join(dir, "none.jpg"), exitMistake, "none.jpg"},
		{"embed image", exitMistake, "no PATH is given"},
		{"embed text a --model " + dir, exitMistake, "no model is here: neither clipsearch-model.json nor"},
		{"tokenize a --model " + texts, exitMistake, "tokenizer.json"},
		{"preprocess " + file + " --model " + texts, exitMistake, "no image tower"},
		{"tokenize a --tokenizer " + filepath.Join(dir, "none"), exitMistake, "no such directory"},
		{"preprocess " + file + " --recipe clip224", exitMistake, file},
		{"preprocess " + file + " --recipe clip1", exitMistake, "clip1"},
		{"eval retrieval", exitMistake, "--dataset and --data are needed"},
		{"eval retrieval --dataset flickr8k --data " + dir, exitMistake, dir},
		{"eval retrieval --images-embeddings x.npy", exitMistake, "belong together"},
		{"eval zeroshot", exitMistake, "--data is needed"},
		{"eval zeroshot --data " + dir, exitMistake, "neither annotations.json nor"},
		{"eval zeroshot --labels x.npy", exitMistake, "belong together"},
		{"eval zeroshot --data " + dir + " --templates none.txt", exitMistake, "openai-imagenet"},
		{"eval zeroshot --data " + dir + " --templates " + file, exitMistake, "has no {}"},
		{"eval index --ef-search 0", exitMistake, "--ef-search"},
		{"eval index --m 1", exitMistake, "--m 1"},
		{"eval index --ef-construction 0", exitMistake, "--ef-construction 0"},
		{"eval index --n 0", exitMistake, "--n 0"},
		{"eval index --dim 0", exitMistake, "--dim 0"},
		{"eval index --queries 0", exitMistake, "--queries 0"},
		{"eval index --like music", exitMistake, "music"},
		{"eval index --seed x", exitMistake, "--seed"},
		{"eval index --vectors-in cloud", exitMistake, "--vectors-in"},
		{"eval index --vectors x.npy", exitMistake, "belong together"},
		{"eval index --vectors x.npy --query-vectors x.npy", exitMistake, "x.npy"},
		{"eval index --vectors x.npy --query-vectors x.npy --like text", exitMistake, "--like"},
		{"eval index --n 1 --dim 1000000000", exitMistake, "64 GB"},
		{"model info nothing", exitMistake, "no model is called nothing"},
		{"model switch", exitMistake, "NAME or DIR of a model is missing"},
		{"model switch a b", exitMistake, "2 arguments"},
		{"model switch a --rollback", exitMistake, "a beside --rollback"},
		{"model switch --rollback --resume", exitMistake, "only one of them"},
		{"model switch a --progress bar", exitMistake, "bar"},
		{"model switch builtin --index " + filepath.Join(dir, "none"), exitFailed, "there is no index"},
		{"model switch --rollback --index " + filepath.Join(dir, "none"), exitFailed, "there is no index"},
		{"model switch --resume --index " + filepath.Join(dir, "none"), exitFailed, "there is no index"},
		{"prune --spaces --index " + filepath.Join(dir, "none"), exitFailed, "there is no index"},
		{"demo", exitMistake, "--index"},
		{"stats --store weaviate://localhost:8080/X", exitMistake, "--store"},
		{"stats --threads -1", exitMistake, "--threads"},
	} {
		var stdout, stderr bytes.Buffer
		w := world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
		code := run(context.Background(), strings.Fields(tt.args), w)
		if code != tt.want || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("clipsearch %s: exit %d, want %d; stderr %q, want %q in it", tt.args, code, tt.want, stderr.String(), tt.says)
		}
		if code == exitDone {
			continue
		}
		if stdout.Len() > 0 {
			t.Errorf("clipsearch %s: an error, and on stdout %q", tt.args, stdout.String())
		}
		if strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("clipsearch %s: an error of other than one line: %q", tt.args, stderr.String())
		}
	}
}
