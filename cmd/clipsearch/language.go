package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/index"
)

func newLanguageCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "language [NAME]",
		Short: "Tell or change the language of captions, tags and names",
		Long: `language tells in which language the index reduces words to their stems, so that
"dogs" finds "dog". With NAME it changes that: the words are indexed again from what
the index holds, while searches go on; no picture is read. If it is stopped, it goes
on when the index is used the next time. "standard" takes words as they are, for
collections in several languages. What a query means to the model does not change.

The languages are ` + strings.Join(index.Languages(), ", ") + `.`,
		Example: `  clipsearch language
  clipsearch language de
  clipsearch ingest ~/Bilder --language de`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return mistake("%d languages: an index is in one; standard suits several", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runLanguage(cmd.Context(), a, args) },
	}
}

func runLanguage(ctx context.Context, a *app, args []string) error {
	if len(args) > 0 {
		if err := index.CheckLanguage(args[0]); err != nil {
			return err
		}
	}
	meta, err := index.ReadMeta(a.options.index)
	if err != nil {
		return err
	}
	language := meta.WordLanguage()
	if len(args) > 0 {
		lib, err := a.openIndex(ctx, openOptions{})
		if err != nil {
			return err
		}
		language = args[0]
		if err := lib.SetLanguage(ctx, language); err != nil {
			return err
		}
	}
	if a.options.json {
		return a.printJSON(map[string]any{"language": language, "languages": index.Languages()})
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", language)
	return err
}

// checkLanguage checks the --language of an ingest into the index in dir.
func checkLanguage(dir, language string, meta index.Meta, fresh bool) error {
	if language == "" {
		return nil
	}
	if err := index.CheckLanguage(language); err != nil {
		return err
	}
	if have := meta.WordLanguage(); !fresh && have != language {
		return mistake("index %s is in language %s, not %s: leave --language out, or change it with `clipsearch language %s`", dir, have, language, language)
	}
	return nil
}
