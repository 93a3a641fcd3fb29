package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Where a hook's command leaves, in its folder of files, what it has to say: its answers, a JSON object, and
// the files that it made in the template's folder, a JSON list of paths relative to that.
const (
	answersFile = "answers.json"
	madeFile    = "made.json"
)

// initialized is what is known of an app's hook: the fingerprints of its commands as they last ran, by
// actionKey, and what it answered.
type initialized struct {
	Prints  map[string]fingerprint `json:"prints"`
	Answers map[string]string      `json:"answers,omitempty"`
	Made    []string               `json:"made,omitempty"`
}

// Init runs the commands of a template's hook, unless all of them ran before as they are and what they made
// is there, and returns what they answered: the names and values of answers.json in $SLUICE_FILES, now or
// when they ran. Of app it needs no more than name, dialect and folder, for the template is read wholly
// when the answers are known.
func (d *Deployer) Init(ctx context.Context, app *sluice.App, hook []sluice.Action, progress func(Progress)) (map[string]string, error) {
	if err := check(app); err != nil {
		return nil, err
	}
	unlock, err := d.lock(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	was, err := d.initialized(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	a := &apply{d: d, progress: progress}
	now := initialized{Prints: map[string]fingerprint{}, Answers: map[string]string{}}
	same := len(was.Prints) == len(hook)
	for i := range hook {
		if now.Prints[actionKey(i, &hook[i])], err = d.print(ctx, &hook[i]); err != nil {
			return nil, err
		}
		same = same && was.Prints[actionKey(i, &hook[i])] == now.Prints[actionKey(i, &hook[i])]
	}
	for _, rel := range was.Made {
		_, err := os.Lstat(filepath.Join(app.Dir, rel))
		same = same && err == nil
	}
	if same {
		for i := range hook {
			a.say(Progress{Step: "run", Kind: "action", Name: hook[i].Run, Status: Skipped, Text: "nothing changed since it ran"})
		}
		return was.Answers, nil
	}
	a.answered = now.read
	for i := range hook {
		if err := a.run(ctx, app, &hook[i]); err != nil {
			return nil, err
		}
	}
	for i := range hook { // as they left their folders
		if now.Prints[actionKey(i, &hook[i])], err = d.print(ctx, &hook[i]); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	return now.Answers, d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{initKey(app.Name)}}, func(tx kv.Txn) error {
		tx.Put(initKey(app.Name), text)
		return nil
	})
}

// Answers is what an app's hook answered when it last ran; nothing when it has none, or did not run.
func (d *Deployer) Answers(ctx context.Context, app sluice.AppName) (map[string]string, error) {
	i, err := d.initialized(ctx, app)
	return i.Answers, err
}

func (d *Deployer) initialized(ctx context.Context, app sluice.AppName) (i initialized, err error) {
	err = d.o.Store.View(ctx, func(r kv.Reader) error {
		text, ok, err := r.Get(initKey(app))
		if err != nil || !ok {
			return err
		}
		return json.Unmarshal(text, &i)
	})
	return i, err
}

// print is by what an action is known.
func (d *Deployer) print(ctx context.Context, act *sluice.Action) (fingerprint, error) {
	stamp, err := d.stamp(ctx, act)
	return fingerprint{Settings: settings(act), Files: stamp}, err
}

// read adds what a command left in its folder. Answers that are no text are kept as JSON.
func (i *initialized) read(dir string) error {
	var made []string
	var said map[string]json.RawMessage
	for name, into := range map[string]any{madeFile: &made, answersFile: &said} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if missing(err) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return fmt.Errorf("read %s of the hook: %w", name, err)
		}
	}
	i.Made = append(i.Made, made...)
	for name, raw := range said {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		i.Answers[name] = s
	}
	return nil
}
