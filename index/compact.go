package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/clipsearch/clipsearch/internal/disk"
)

// Compact gives back the space of what was deleted and sorts the rest. Where a part
// of the store cannot be read it changes nothing and is an error: what is merged
// takes the place of what was there, and would lack all that lies behind the damage.
func (x *Index) Compact(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := checkSpace(x.dir, x.store.tablesSize()+spare); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	err := x.store.compact()
	if rerr := x.store.release(); err == nil {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// spare is what is left free beside what a compaction is known to write.
const spare = 16 << 20

// save is what helps where tables are damaged.
const save = "save what can be read with `clipsearch export FILE --allow-damage`, make a new index of it with `clipsearch import FILE --index ELSEWHERE`, and ingest the folders there again"

// verify reads every block of every table and returns what is wrong.
func (s *store) verify() error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return errClosed
	}
	return s.verifyHeld()
}

// verifyHeld is verify for whoever is within a transaction.
func (s *store) verifyHeld() (err error) {
	defer func() {
		if recover() != nil { // so Badger says it
			err = errors.New("a block cannot be read")
		}
		s.broken.Store(nil)
		if err != nil {
			what := err.Error()
			s.broken.Store(&what)
		}
	}()
	if err := s.db.VerifyChecksum(); err != nil {
		return errors.New(oneLine(err))
	}
	return nil
}

// look is verify, once: broken says what came of it.
func (s *store) look() { s.looked.Do(func() { _ = s.verify() }) }

// lookHeld is look for whoever is within a transaction.
func (s *store) lookHeld() { s.looked.Do(func() { _ = s.verifyHeld() }) }

// whole returns an error that says what to do unless all tables can be read.
func (s *store) whole() error {
	err := s.verify()
	if err == nil || errors.Is(err, errClosed) {
		return err
	}
	return fmt.Errorf("a table of the store is damaged (%w): `clipsearch check` names what is lost; %s", err, save)
}

// mayMerge returns an error unless all tables can be read: Badger takes a block that
// cannot for the end of its table, merges what comes before it and removes the rest.
func (s *store) mayMerge() error {
	if err := s.verify(); err != nil {
		return fmt.Errorf("a table is damaged (%w), and nothing was changed: `clipsearch check` names the pictures; %s", err, save)
	}
	return nil
}

// settle merges tables when those that came since the last time are many. Badger
// would do it whenever it likes, and die if the disk were full just then; so it is
// done here, only where there is ample room, and never has to be. Tables of which
// one is damaged stay as they are.
func (s *store) settle() error {
	fresh, old := s.levels()
	if fresh < 8*s.sizes.memtable || fresh < old/4 || s.broken.Load() != nil {
		return nil
	}
	free, err := disk.Free(s.dir)
	if err != nil || free < 2*(fresh+old)+512<<20 {
		return err
	}
	if err := s.mayMerge(); err != nil { // one more read of what is about to be read
		return err
	}
	return s.flatten()
}

// levels returns how many bytes the tables have that came since the last merging,
// and the others.
func (s *store) levels() (fresh, old int64) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return 0, 0
	}
	for _, level := range s.db.Levels() {
		if level.Level == 0 {
			fresh = level.Size
		} else {
			old += level.Size
		}
	}
	return fresh, old
}

// flatten merges all tables. The caller has asked mayMerge.
func (s *store) flatten() (err error) {
	defer recoverInto(&err, "compact")
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := s.db.Flatten(1); err != nil {
		return errors.New(oneLine(err))
	}
	return nil
}

// compact rewrites the tables as one sorted run and gives back the space of
// deleted values.
func (s *store) compact() error {
	if err := s.mayMerge(); err != nil {
		return err
	}
	if err := s.flatten(); err != nil {
		return err
	}
	for {
		logs, err := s.worthwhile()
		if err != nil || len(logs) == 0 {
			return err
		}
		if more, err := s.collect(logs); err != nil || !more {
			return err
		}
	}
}

// collect gives back the space of deleted values in one of logs, and returns false
// if there was none.
func (s *store) collect(logs []int) (more bool, err error) {
	defer recoverInto(&err, "compact")
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return false, errClosed
	}
	for _, n := range logs {
		if err := mendLog(logPath(s.dir, n)); err != nil {
			return false, fmt.Errorf("%w: its room is not given back, so that nothing is lost", err)
		}
	}
	if !s.ready {
		if err := checkSpace(s.dir, s.sizes.room()+spare); err != nil {
			return false, err
		}
	}
	if err := s.prepare(); err != nil {
		return false, err
	}
	s.wrote = true
	switch err := s.db.RunValueLogGC(garbage); {
	case errors.Is(err, badger.ErrNoRewrite):
		return false, nil
	case err != nil:
		return false, errors.New(oneLine(err))
	}
	return true, s.reserve()
}

// tablesSize is how many bytes all tables have.
func (s *store) tablesSize() int64 {
	fresh, old := s.levels()
	return fresh + old
}
