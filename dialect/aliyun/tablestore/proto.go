package tablestore

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// Messages are plain structs whose fields carry the tag `pb:"number"`, with "!" after the number of
// a required field (proto2). A required field is always written, even when it is zero, and must come
// in; any other is written unless it is nil or zero, so a pointer tells "absent" from "zero".
// Enums are int32. Unknown fields, and known ones of a wrong wire type, are skipped.

var errMessage = errors.New("malformed message")

// unmarshal reads b into msg, a pointer to a struct. Byte slices of msg alias b.
func unmarshal(b []byte, msg any) error {
	return readMessage(b, reflect.ValueOf(msg).Elem())
}

// marshal writes msg, a pointer to a struct.
func marshal(msg any) []byte {
	return appendMessage(nil, reflect.ValueOf(msg).Elem())
}

// protoField is what the tag of a struct's field says.
type protoField struct {
	num      protowire.Number
	required bool
	name     string
}

// layouts are the fields of the messages' types: []protoField by reflect.Type.
var layouts sync.Map

func layoutOf(t reflect.Type) []protoField {
	if l, ok := layouts.Load(t); ok {
		return l.([]protoField)
	}
	l := make([]protoField, t.NumField())
	for i := range l {
		f := t.Field(i)
		text, required := strings.CutSuffix(f.Tag.Get("pb"), "!")
		n, err := strconv.Atoi(text)
		if err != nil {
			panic("tablestore: field " + f.Name + " has no field number")
		}
		l[i] = protoField{protowire.Number(n), required, f.Name}
	}
	layouts.Store(t, l)
	return l
}

func readMessage(b []byte, m reflect.Value) error {
	fields := layoutOf(m.Type())
	var seen uint64 // bit i is field i of the struct
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMessage
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return errMessage
		}
		for i := range fields {
			if fields[i].num != num {
				continue
			}
			ok, err := readField(b[:n], typ, m.Field(i))
			if err != nil {
				return err
			}
			if ok {
				seen |= 1 << i
			}
			break
		}
		b = b[n:]
	}
	for i := range fields {
		if fields[i].required && seen&(1<<i) == 0 {
			return fmt.Errorf("%w: %s is required", errMessage, fields[i].name)
		}
	}
	return nil
}

// readField reads one value that ConsumeFieldValue has found well-formed; false skips it.
func readField(b []byte, typ protowire.Type, v reflect.Value) (bool, error) {
	switch v.Kind() {
	case reflect.Pointer:
		into := v
		if v.IsNil() {
			into = reflect.New(v.Type().Elem())
		}
		ok, err := readField(b, typ, into.Elem())
		if ok {
			v.Set(into)
		}
		return ok, err
	case reflect.Bool, reflect.Int32, reflect.Int64:
		if typ != protowire.VarintType {
			return false, nil
		}
		n, _ := protowire.ConsumeVarint(b)
		if v.Kind() == reflect.Bool {
			v.SetBool(protowire.DecodeBool(n))
		} else if v.Kind() == reflect.Int32 {
			v.SetInt(int64(int32(n)))
		} else {
			v.SetInt(int64(n))
		}
		return true, nil
	case reflect.Float32:
		if typ != protowire.Fixed32Type {
			return false, nil
		}
		n, _ := protowire.ConsumeFixed32(b)
		v.SetFloat(float64(math.Float32frombits(n)))
		return true, nil
	case reflect.Float64:
		if typ != protowire.Fixed64Type {
			return false, nil
		}
		n, _ := protowire.ConsumeFixed64(b)
		v.SetFloat(math.Float64frombits(n))
		return true, nil
	case reflect.Slice:
		if kind := v.Type().Elem().Kind(); (kind == reflect.Float32 || kind == reflect.Float64) && typ == protowire.BytesType {
			packed, _ := protowire.ConsumeBytes(b)
			for of := packedTypes[kind]; len(packed) > 0; {
				size := protowire.ConsumeFieldValue(1, of, packed)
				if size < 0 {
					return false, errMessage
				}
				item := reflect.New(v.Type().Elem()).Elem()
				readField(packed[:size], of, item)
				v.Set(reflect.Append(v, item))
				packed = packed[size:]
			}
			return true, nil
		}
		if v.Type().Elem().Kind() != reflect.Uint8 {
			n := v.Len()
			v.Grow(1)
			v.SetLen(n + 1)
			v.Index(n).SetZero()
			ok, err := readField(b, typ, v.Index(n))
			if !ok {
				v.SetLen(n)
			}
			return ok, err
		}
	}
	if typ != protowire.BytesType {
		return false, nil
	}
	data, _ := protowire.ConsumeBytes(b)
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(data))
	case reflect.Slice:
		v.SetBytes(data[:len(data):len(data)])
	default:
		return true, readMessage(data, v)
	}
	return true, nil
}

// packedTypes are the wire types of numbers that may come packed.
var packedTypes = map[reflect.Kind]protowire.Type{reflect.Float32: protowire.Fixed32Type, reflect.Float64: protowire.Fixed64Type}

func appendMessage(b []byte, m reflect.Value) []byte {
	for i, f := range layoutOf(m.Type()) {
		b = appendField(b, f.num, f.required, m.Field(i))
	}
	return b
}

func appendField(b []byte, num protowire.Number, required bool, v reflect.Value) []byte {
	isBytes := v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8
	if !required && v.IsZero() {
		return b
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		return appendField(b, num, true, v.Elem())
	case reflect.Bool:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), protowire.EncodeBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v.Int()))
	case reflect.Float32:
		return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), math.Float32bits(float32(v.Float())))
	case reflect.Float64:
		return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(v.Float()))
	case reflect.Slice:
		if !isBytes {
			for i := range v.Len() {
				b = appendField(b, num, true, v.Index(i))
			}
			return b
		}
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	switch v.Kind() {
	case reflect.String:
		return protowire.AppendString(b, v.String())
	case reflect.Slice:
		return protowire.AppendBytes(b, v.Bytes())
	default:
		return protowire.AppendBytes(b, appendMessage(nil, v))
	}
}
