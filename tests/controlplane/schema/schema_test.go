package main

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTheCommittedSchemaIsWhatTheProgramWrites(t *testing.T) {
	want, err := writeSchema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", schemaFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is of other types than go.mod names: run `go run ./schema write` in tests/controlplane", schemaFile)
	}
}

// The tags are comments to the generated code, and some of them are wrong.
func TestEveryFieldIsOnTheWireAsTheSchemaSays(t *testing.T) {
	kinds, err := listedKinds()
	if err != nil {
		t.Fatal(err)
	}
	messages, err := messagesOf(kinds)
	if err != nil {
		t.Fatal(err)
	}
	fill := filler{random: rand.New(rand.NewPCG(1, 2)), presence: 1}
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		message := messages[name]
		absent := fieldsOnTheWire(t, reflect.New(message.goType))
		for i, field := range message.fields {
			value := reflect.New(message.goType)
			fill.value(value.Elem().FieldByName(field.goName))
			changed := changes(absent, fieldsOnTheWire(t, value))
			if want := []onWire{{field.number, wireType(message.lines[i])}}; !slices.Equal(changed, want) {
				t.Errorf("%s: the field of %q is on the wire as %v, not %v", name, message.lines[i], changed, want)
			}
		}
	}
}

type onWire struct{ number, wireType int }

// wireType returns how protobuf writes the type that a line of the schema ends with.
func wireType(line string) int {
	if strings.HasPrefix(line[strings.LastIndexByte(line, ' ')+2:], "{}") {
		return 2
	}
	switch strings.TrimLeft(line[strings.LastIndexByte(line, ' ')+1:], "?*-![]") {
	case "int", "bool":
		return 0
	}
	return 2
}

func changes(before, after map[onWire][]byte) []onWire {
	var changed []onWire
	for field, written := range after {
		if !bytes.Equal(written, before[field]) {
			changed = append(changed, field)
		}
	}
	return changed
}

// fieldsOnTheWire returns what a message is written as, by field.
func fieldsOnTheWire(t *testing.T, message reflect.Value) map[onWire][]byte {
	t.Helper()
	rest, err := message.Interface().(protobufMessage).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	fields := map[onWire][]byte{}
	for len(rest) > 0 {
		tag, length := binary.Uvarint(rest)
		rest = rest[length:]
		field := onWire{int(tag >> 3), int(tag & 7)}
		size, length := binary.Uvarint(rest)
		switch field.wireType {
		case 0:
			size = uint64(length)
		case 2:
			size += uint64(length)
		default:
			t.Fatalf("%s: wire type %d", message.Type(), field.wireType)
		}
		fields[field] = append(fields[field], rest[:size]...)
		rest = rest[size:]
	}
	return fields
}
