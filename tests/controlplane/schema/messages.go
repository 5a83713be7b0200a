package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// special are the types that look different in JSON than their fields say.
var special = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():          "time",
	reflect.TypeFor[metav1.MicroTime]():     "microtime",
	reflect.TypeFor[resource.Quantity]():    "quantity",
	reflect.TypeFor[intstr.IntOrString]():   "intorstring",
	reflect.TypeFor[runtime.RawExtension](): "raw",
	reflect.TypeFor[metav1.FieldsV1]():      "raw",
}

// field is one that is on the wire.
type field struct {
	number   int
	goName   string
	goType   reflect.Type
	jsonName string // Empty when its own fields are written among those of its parent.
	options  []string
}

func (f field) has(option string) bool { return slices.Contains(f.options, option) }

type message struct {
	goType reflect.Type
	fields []field
	lines  []string // One for each field.
}

// messages are those seen so far, by name.
type messages map[string]*message

// messagesOf returns all that kinds are made of, and what a Status is, which any of them may have in its place.
func messagesOf(kinds []listedKind) (messages, error) {
	messages := messages{}
	if _, err := messages.add(reflect.TypeFor[metav1.Status]()); err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		if _, err := messages.add(kind.object); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.gvk, err)
		}
	}
	return messages, nil
}

func (m messages) write(text *strings.Builder) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(text, "message %s\n", name)
		for _, line := range m[name].lines {
			fmt.Fprintln(text, line)
		}
	}
}

// add takes a message and all that it is made of, and returns its name.
func (m messages) add(goType reflect.Type) (string, error) {
	name := messageName(goType)
	if seen, found := m[name]; found {
		if seen.goType != goType {
			return "", fmt.Errorf("%s and %s are both called %s", seen.goType, goType, name)
		}
		return name, nil
	}
	if implements[json.Marshaler](goType) || implements[encoding.TextMarshaler](goType) {
		return "", fmt.Errorf("%s writes its own JSON", goType)
	}
	fields, err := fieldsOf(goType)
	if err == nil {
		err = checkNames(goType, map[string]bool{})
	}
	if err != nil {
		return "", err
	}
	added := &message{goType: goType, fields: fields}
	m[name] = added
	for _, field := range fields {
		line, err := m.line(field)
		if err != nil {
			return "", fmt.Errorf("%s, field %d: %w", name, field.number, err)
		}
		added.lines = append(added.lines, line)
	}
	return name, nil
}

func (m messages) line(f field) (string, error) {
	typeName, err := m.fieldType(f)
	if err != nil {
		return "", err
	}
	presence, err := f.presence()
	if err != nil {
		return "", err
	}
	name := f.jsonName
	if name == "" {
		name = "."
	}
	return fmt.Sprintf("%d %s %s%s", f.number, name, presence, typeName), nil
}

// presence says when encoding/json writes the field, as far as what arrived in protobuf can tell.
func (f field) presence() (string, error) {
	omitEmpty, omitZero := f.has("omitempty"), f.has("omitzero")
	switch f.goType.Kind() {
	case reflect.Pointer:
		if omitEmpty || omitZero {
			return "?", nil
		}
		return "*", nil
	case reflect.Struct:
		// omitempty means nothing for a struct, and whether a message is zero only its fields could tell.
		if !omitZero {
			return "!", nil
		}
		if f.goType == reflect.TypeFor[metav1.Time]() {
			return "-", nil
		}
		return "", fmt.Errorf("omitzero on %s", f.goType)
	case reflect.Slice, reflect.Map:
		// With omitzero alone one that is empty and not nil is written, and bytes can arrive so.
		if omitZero && !omitEmpty {
			return "", fmt.Errorf("omitzero without omitempty on %s", f.goType)
		}
	}
	if omitEmpty || omitZero {
		return "-", nil
	}
	return "!", nil
}

// fieldType returns the shape and the type.
func (m messages) fieldType(f field) (string, error) {
	shape, goType := "", f.goType
	isMessage := implements[protobufMessage](goType)
	switch {
	case goType.Kind() == reflect.Pointer:
		goType = goType.Elem()
	case goType.Kind() == reflect.Map && !isMessage:
		if goType.Key().Kind() != reflect.String || implements[encoding.TextMarshaler](goType.Key()) {
			return "", fmt.Errorf("a map by %s", goType.Key())
		}
		shape, goType = "{}", goType.Elem()
	case goType.Kind() == reflect.Slice && goType.Elem().Kind() != reflect.Uint8 && !isMessage:
		shape, goType = "[]", goType.Elem()
	}
	typeName, err := m.valueType(goType)
	return shape + typeName, err
}

func (m messages) valueType(goType reflect.Type) (string, error) {
	if name, ok := special[goType]; ok {
		return name, nil
	}
	if implements[json.Marshaler](goType) || implements[encoding.TextMarshaler](goType) {
		return "", fmt.Errorf("%s writes its own JSON", goType)
	}
	isMessage := implements[protobufMessage](goType)
	switch goType.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int32, reflect.Int64, reflect.Uint32:
		return "int", nil
	case reflect.Slice:
		if goType.Elem().Kind() == reflect.Uint8 && !isMessage {
			return "bytes", nil
		}
		if goType.Elem().Kind() == reflect.String && isMessage {
			return "strings", nil
		}
	case reflect.Struct:
		if isMessage {
			return m.add(goType)
		}
	}
	return "", fmt.Errorf("%s is of no known type", goType)
}

// checkNames refuses a name that two fields share, one of them inlined: Go would leave one or both of them out.
func checkNames(goType reflect.Type, names map[string]bool) error {
	fields, err := fieldsOf(goType)
	if err != nil {
		return err
	}
	for _, field := range fields {
		if field.jsonName == "" {
			if err := checkNames(field.goType, names); err != nil {
				return err
			}
			continue
		}
		if names[field.jsonName] {
			return fmt.Errorf("%s has two fields %s", goType, field.jsonName)
		}
		names[field.jsonName] = true
	}
	return nil
}

// fieldsOf returns the fields of a message by number.
func fieldsOf(goType reflect.Type) ([]field, error) {
	var fields []field
	for i := range goType.NumField() {
		goField := goType.Field(i)
		if !goField.IsExported() {
			return nil, fmt.Errorf("%s.%s is not exported", goType, goField.Name)
		}
		name, _, _ := strings.Cut(goField.Tag.Get("json"), ",")
		if goField.Type == reflect.TypeFor[metav1.TypeMeta]() && goField.Anonymous && name == "" {
			// The envelope of the message says it.
			continue
		}
		field, err := parseField(goField)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", goType, goField.Name, err)
		}
		fields = append(fields, field)
	}
	slices.SortFunc(fields, func(a, b field) int { return a.number - b.number })
	for i := 1; i < len(fields); i++ {
		if fields[i-1].number == fields[i].number {
			return nil, fmt.Errorf("%s has two fields %d", goType, fields[i].number)
		}
	}
	return fields, nil
}

// parseField takes only the number from the protobuf tag. What else some of them say, as bytes for an integer, or opt for
// a slice, is not what the generated code does.
func parseField(goField reflect.StructField) (field, error) {
	// As in bytes,1,opt,name=metadata
	wire, rest, _ := strings.Cut(goField.Tag.Get("protobuf"), ",")
	digits, _, _ := strings.Cut(rest, ",")
	number, err := strconv.Atoi(digits)
	if wire == "" || err != nil {
		return field{}, fmt.Errorf("the protobuf tag is %q", goField.Tag.Get("protobuf"))
	}
	name, rest, _ := strings.Cut(goField.Tag.Get("json"), ",")
	options := strings.Split(rest, ",")
	if name == "-" || slices.Contains(options, "string") {
		return field{}, fmt.Errorf("the json tag is %q", goField.Tag.Get("json"))
	}
	if name == "" && !goField.Anonymous {
		name = goField.Name
	}
	if name == "" && (goField.Type.Kind() != reflect.Struct || special[goField.Type] != "") {
		return field{}, fmt.Errorf("%s cannot be inlined", goField.Type)
	}
	return field{number: number, goName: goField.Name, goType: goField.Type, jsonName: name, options: options}, nil
}

type protobufMessage interface{ Marshal() ([]byte, error) }

// implements says whether a value of the type has the methods when it can be addressed.
func implements[I any](goType reflect.Type) bool {
	return goType.Implements(reflect.TypeFor[I]()) || reflect.PointerTo(goType).Implements(reflect.TypeFor[I]())
}

// messageName names a type after the last two parts of its package: k8s.io/api/core/v1.Pod is core.v1.Pod.
func messageName(goType reflect.Type) string {
	path := strings.Split(goType.PkgPath(), "/")
	return strings.Join(append(path[len(path)-2:], goType.Name()), ".")
}
