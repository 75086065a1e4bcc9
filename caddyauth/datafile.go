package caddyauth

import (
	"fmt"
	"maps"
	"slices"
)

// FileKeeper is implemented by a user pool module that keeps its data in a file which nobody else may use.
type FileKeeper interface {
	// DataFile is the absolute path, known once the module is provisioned.
	DataFile() string
}

// checkDataFiles refuses two realms with one file: the users of one could sign in to the other.
func (a *App) checkDataFiles() error {
	used := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(a.Realms)) {
		keeper, ok := a.Realms[name].userPool.(FileKeeper)
		if !ok {
			continue
		}
		file := keeper.DataFile()
		if other, taken := used[file]; taken {
			return fmt.Errorf("passwordless: realms %q and %q use the same data file %s: give one a file of its own, as in `user_pool embedded ./%s.db`", other, name, file, name)
		}
		used[file] = name
	}
	return nil
}
