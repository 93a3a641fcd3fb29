package tablestore

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// The owners of instances are rows of a table, in a scope that is no instance's name.
var owners = table.Spec{
	Scope: "_tablestore",
	Name:  "instances",
	Key:   []table.KeyColumn{{Name: "instance", Type: table.String}},
}

const ownerColumn = "app"

// enter lets the caller into its instance, or says why not.
func (c *call) enter(ctx context.Context) error {
	if !validInstance(c.instance) {
		return invalid("Invalid instance name: %s.", c.instance)
	}
	if c.who.Admin() || string(c.who.App) == c.instance {
		return nil
	}
	owner, ok := c.owners.Load(c.instance)
	if !ok {
		app, err := c.claim(ctx)
		if err != nil {
			return err
		}
		owner, _ = c.owners.LoadOrStore(c.instance, app)
	}
	if owner != c.who.App {
		return refused("The user has no privilege to access the instance.")
	}
	return nil
}

// validInstance is laxer than the cloud in length, so that every app's name will do.
func validInstance(name string) bool {
	if len(name) < 1 || len(name) > 63 || name[len(name)-1] == '-' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// claim makes the caller the owner of an instance that has none, and returns the owner.
func (c *call) claim(ctx context.Context) (sluice.AppName, error) {
	spec, err := c.Tables.Lookup(ctx, owners.Scope, owners.Name)
	if sluice.KindOf(err) == sluice.Missing {
		var exists *table.ExistsError
		if spec, err = c.Tables.Create(ctx, owners); errors.As(err, &exists) {
			spec, err = c.Tables.Lookup(ctx, owners.Scope, owners.Name)
		}
	}
	if err != nil {
		return "", err
	}
	key := table.Key{{Type: table.String, Str: c.instance}}
	mine := []table.Column{{Name: ownerColumn, Cells: []table.Cell{{Value: table.Value{Type: table.String, Str: string(c.who.App)}}}}}
	done, err := c.Tables.Apply(ctx, table.Op{Table: spec, Key: key, Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		if cur != nil {
			return cur, nil
		}
		return &table.Row{Key: key, Columns: mine}, nil
	}})
	if err != nil {
		return "", err
	}
	return sluice.AppName(done.After.Column(ownerColumn).Cells[0].Value.Str), nil
}
