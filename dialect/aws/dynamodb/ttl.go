package dynamodb

import (
	"context"

	"github.com/sluicehq/sluice/table"
)

// updateTimeToLive answers UpdateTimeToLive. Expired items go with the room's next round of sweeping.
func (h *Handler) updateTimeToLive(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, err
	}
	spec := req.get("TimeToLiveSpecification")
	enabled, name := spec.bool("Enabled", false), spec.text("AttributeName")
	err = h.alter(ctx, d.spec.Name, func(s *table.Spec, desc *description) error {
		switch {
		case enabled && desc.TTL == name:
			return invalid("TimeToLive is already enabled")
		case enabled && desc.TTL != "":
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is " + desc.TTL)
		case !enabled && desc.TTL == "":
			return invalid("TimeToLive is already disabled")
		case !enabled && desc.TTL != name:
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is " + desc.TTL)
		}
		setTTL(s, desc, enabled, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return marshal(map[string]any{"TimeToLiveSpecification": map[string]any{"Enabled": enabled, "AttributeName": name}}), nil
}

func setTTL(s *table.Spec, desc *description, enabled bool, name string) {
	desc.TTL = ""
	if enabled {
		desc.TTL = name
	}
	s.Ends = desc.TTL
}

// describeTimeToLive answers DescribeTimeToLive.
func (h *Handler) describeTimeToLive(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, err
	}
	ttl := map[string]string{"TimeToLiveStatus": "DISABLED"}
	if d.desc.TTL != "" {
		ttl = map[string]string{"TimeToLiveStatus": "ENABLED", "AttributeName": d.desc.TTL}
	}
	return marshal(map[string]any{"TimeToLiveDescription": ttl}), nil
}
