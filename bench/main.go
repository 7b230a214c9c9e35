// Command bench measures the vector index, the encoders and the trainer: what they find
// beside how quickly, and how that stands to their bars. It is a module of its own, so
// that a peer that is only measured is no dependency of the program.
//
//	gate     recall of the exact scan, of the graph, and of the peer github.com/coder/hnsw
//	deletes  recall after deletes, and after all have come back
//	beside   searches beside a writer
//	index    a whole index: filters, searches beside writes, memory, opening it cold
//	peer     coder/hnsw over files, as peers.py asks for it
//	tower    a model's towers, as encoders.py asks for them
//	trainer  a model in training, as trainer.py asks for it
//
// peers.py sets the index beside hnswlib, faiss and usearch, encoders.py the towers
// beside PyTorch and Python's ONNX Runtime, trainer.py and scratch.py training beside
// PyTorch. Nothing is asserted here: where a figure falls short of its bar, its line
// says so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// verbs are what can be measured; each reads its own flags.
var verbs = map[string]func(ctx context.Context, args []string) error{
	"gate":    runGate,
	"deletes": runDeletes,
	"beside":  runBeside,
	"index":   runIndex,
	"opened":  runOpened,  // a process of its own, which index starts
	"tower":   runTower,   // a process of its own, which encoders.py starts
	"trainer": runTrainer, // a process of its own, which trainer.py starts
	"peer":    runPeer,
}

func main() {
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench gate | deletes | beside | index | peer, -h after each for its flags")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := verbs[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// flags returns the flags that every verb has: how many vectors, of which seed.
func flags(verb string, vectors int) (f *flag.FlagSet, n *int, seed *uint64) {
	f = flag.NewFlagSet(verb, flag.ExitOnError)
	return f, f.Int("n", vectors, "vectors"), f.Uint64("seed", 1, "of the vectors")
}

// bar prints a figure and says whether it reaches what it needs to.
func bar(what string, got float64, sign string, need float64) {
	verdict := "ok"
	if sign == "≥" && got < need || sign == "≤" && got > need {
		verdict = "SHORT"
	}
	fmt.Printf("  %-58s %10.4g   %s %-6g %s\n", what, got, sign, need, verdict)
}

// note prints figures that there is no bar for.
func note(what string, got ...float64) {
	fmt.Printf("  %-58s", what)
	for _, x := range got {
		fmt.Printf(" %10.4g", x)
	}
	fmt.Println()
}
