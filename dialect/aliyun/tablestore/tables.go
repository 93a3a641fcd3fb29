package tablestore

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// lookup finds a table of the caller's instance.
func (c *call) lookup(ctx context.Context, name string) (*table.Spec, error) {
	if err := checkTableName(name); err != nil {
		return nil, err
	}
	return c.Tables.Lookup(ctx, c.instance, name)
}

func (c *call) createTable(ctx context.Context, req *createTableRequest) (*none, error) {
	if req.SSE != nil && req.SSE.Enable {
		return nil, invalid("Server side encryption is not supported.")
	}
	spec, err := specOf(c.instance, req, c.Now(), c.Strict)
	if err != nil {
		return nil, err
	}
	there, err := c.Tables.List(ctx, c.instance)
	if err != nil {
		return nil, err
	}
	if err := c.checkRoom(there, append(indexNames(spec), spec.Name)); err != nil {
		return nil, err
	}
	_, err = c.Tables.Create(ctx, *spec)
	return &none{}, err
}

func (c *call) listTable(ctx context.Context, _ *none) (*listTableResponse, error) {
	specs, err := c.Tables.List(ctx, c.instance)
	resp := &listTableResponse{}
	for _, s := range specs {
		resp.Names = append(resp.Names, s.Name)
	}
	return resp, err
}

func (c *call) describeTable(ctx context.Context, req *tableRequest) (*describeTableResponse, error) {
	src, err := c.source(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	spec := src.spec
	if src.index != "" {
		return &describeTableResponse{Meta: src.meta(), Options: optionsOf(spec), Status: statusActive}, nil
	}
	stream := streamOf(spec)
	return &describeTableResponse{
		Meta:       src.meta(),
		Throughput: throughputOf(spec),
		Options:    optionsOf(spec),
		Status:     statusActive,
		Stream:     &stream,
		Indexes:    indexesOf(spec),
		Created:    spec.Created * 1000,
	}, nil
}

func (c *call) updateTable(ctx context.Context, req *updateTableRequest) (*updateTableResponse, error) {
	switch {
	case req.Throughput == nil && req.Options == nil && req.Stream == nil:
		return nil, invalid("No parameter is specified in UpdateTable.")
	case req.Options != nil && *req.Options == tableOptions{} && req.Throughput == nil && req.Stream == nil:
		return nil, invalid("No parameter is specified in table options.")
	case req.Options != nil && req.Options.UpdateFullRow != nil:
		return nil, invalid("UpdateTable can not contain updateFullRow")
	}
	spec, err := c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		if req.Throughput != nil {
			if err := e.reserve(req.Throughput.Unit, c.Now()); err != nil {
				return err
			}
		}
		if req.Options != nil {
			if err := e.setOptions(spec, req.Options); err != nil {
				return err
			}
		}
		if req.Stream != nil {
			return setStream(spec, req.Stream, c.Now().UnixMicro())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &updateTableResponse{Throughput: throughputOf(spec), Options: optionsOf(spec), Stream: streamOf(spec)}, nil
}

// alter changes a table's description together with its extra.
func (c *call) alter(ctx context.Context, name string, change func(*table.Spec, *extra) error) (*table.Spec, error) {
	if err := checkTableName(name); err != nil {
		return nil, err
	}
	return c.Tables.Alter(ctx, c.instance, name, func(spec *table.Spec) error {
		e := extraOf(spec)
		if err := change(spec, &e); err != nil {
			return err
		}
		e.store(spec)
		return nil
	})
}

func (c *call) deleteTable(ctx context.Context, req *tableRequest) (*none, error) {
	spec, err := c.lookup(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if len(extraOf(spec).Search) > 0 {
		return nil, invalid("Table[%s] who has at least one search index cannot be deleted", req.Table)
	}
	return &none{}, c.Tables.Drop(ctx, c.instance, req.Table)
}

func (c *call) addDefinedColumn(ctx context.Context, req *addDefinedRequest) (*none, error) {
	_, err := c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		return e.define(spec, req.Columns)
	})
	return &none{}, err
}

func (c *call) deleteDefinedColumn(ctx context.Context, req *deleteDefinedRequest) (*none, error) {
	_, err := c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		for _, name := range req.Columns {
			if x := indexWith(spec, name); x != nil {
				return invalid("Defined column '%s' is used by index '%s'.", name, x.Name)
			}
			i := slices.IndexFunc(e.Defined, func(d definedColumn) bool { return d.Name == name })
			if i < 0 {
				return invalid("Defined column '%s' does not exist.", name)
			}
			e.Defined = slices.Delete(e.Defined, i, i+1)
		}
		return nil
	})
	return &none{}, err
}
