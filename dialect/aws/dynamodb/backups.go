package dynamodb

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/table"
)

// recoveryState is a table's point-in-time recovery. It is kept for templates and tools that ask for it;
// nothing can be restored here.
type recoveryState struct {
	Days  int64
	Since float64 // unix seconds
}

// maxRecovery is how many days AWS can go back, unless it is told fewer.
const maxRecovery = 35

// describeContinuousBackups answers DescribeContinuousBackups.
func (h *Handler) describeContinuousBackups(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, noBackups(err, req)
	}
	return h.backups(d.desc.Recovery), nil
}

// updateContinuousBackups answers UpdateContinuousBackups.
func (h *Handler) updateContinuousBackups(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, noBackups(err, req)
	}
	var state *recoveryState
	n := req.get("PointInTimeRecoverySpecification")
	if n.bool("PointInTimeRecoveryEnabled", false) {
		state = &recoveryState{n.number("RecoveryPeriodInDays", maxRecovery), seconds(h.opt.Now())}
	}
	err = h.alter(ctx, d.spec.Name, func(_ *table.Spec, desc *description) error {
		if state != nil && desc.Recovery != nil {
			state.Since = desc.Recovery.Since
		}
		desc.Recovery = state
		return nil
	})
	if err != nil {
		return nil, noBackups(err, req)
	}
	return h.backups(state), nil
}

// noBackups words the error of a table that is not there.
func noBackups(err error, req *node) error {
	if f := new(fault); errors.As(err, &f) && f.kind == noTable().kind {
		return newFault(service+"TableNotFoundException", "Table not found: "+req.text("TableName"))
	}
	return err
}

// backups is the answer that shows a state.
func (h *Handler) backups(s *recoveryState) []byte {
	status, recovery := "DISABLED", map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if s != nil {
		now := seconds(h.opt.Now())
		status, recovery = "ENABLED", map[string]any{
			"PointInTimeRecoveryStatus":  "ENABLED",
			"RecoveryPeriodInDays":       s.Days,
			"EarliestRestorableDateTime": max(s.Since, now-float64(s.Days)*24*3600),
			"LatestRestorableDateTime":   now,
		}
	}
	return marshal(map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus":        status,
		"PointInTimeRecoveryDescription": recovery,
	}})
}
