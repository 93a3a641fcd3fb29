package until

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAContextEndsAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(20 * time.Millisecond)
		c := New(t.Context(), at)
		defer c.Release()
		if c.Err() != nil {
			t.Error(c.Err())
		}
		<-c.Done()
		if !errors.Is(c.Err(), context.DeadlineExceeded) || !time.Now().Equal(at) {
			t.Error(c.Err(), time.Until(at))
		}
		if c := New(t.Context(), time.Now()); !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Error("it goes on though nobody has asked for Done:", c.Err())
		}
	})
}

type key struct{}

func TestAContextEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	outer := New(parent, time.Now().Add(time.Minute))
	inner := New(outer, time.Now().Add(time.Hour))
	if at, ok := inner.Deadline(); !ok || time.Until(at) > time.Minute {
		t.Error("a parent's sooner deadline is not kept:", at)
	}
	child, stop := context.WithCancel(inner)
	defer stop()
	cancel()
	<-child.Done()
	<-inner.Done()
	for _, c := range []context.Context{outer, inner, child} {
		if c.Err() != context.Canceled {
			t.Error(c.Err())
		}
		if c.Value(key{}) != "value" {
			t.Error(c.Value(key{}))
		}
	}
}

func TestAContextSaysWhatEndsIt(t *testing.T) {
	at := time.Now().Add(time.Minute)
	if base, d := Split(New(New(t.Context(), at), at.Add(time.Second))); base != t.Context() || !d.Equal(at) {
		t.Error(base, d)
	}
	if base, d := Split(t.Context()); base != t.Context() || !d.IsZero() {
		t.Error(base, d)
	}
}

func TestAReleasedContextKeepsNoTimer(t *testing.T) {
	c := New(t.Context(), time.Now().Add(time.Hour))
	c.Release() // of nothing
	done := c.Done()
	c.Release()
	<-done
}

func BenchmarkDeadlines(b *testing.B) {
	base, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		outer := New(base, time.Now().Add(time.Minute))
		inner := New(outer, time.Now().Add(time.Second))
		if inner.Err() != nil {
			b.Fatal(inner.Err())
		}
		inner.Release()
		outer.Release()
	}
}
