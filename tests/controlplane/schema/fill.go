package main

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// filler sets values at random. Nothing it makes need be valid to Kubernetes, only to the encodings.
type filler struct {
	random *rand.Rand
	// presence is how likely it is that something is set at all: with 0 everything is zero, with 1 nothing is.
	presence float64
}

func (f filler) value(value reflect.Value) {
	switch target := value.Addr().Interface().(type) {
	case *metav1.Time:
		target.Time = f.time()
		return
	case *metav1.MicroTime:
		target.Time = f.time()
		return
	case *resource.Quantity:
		*target = f.quantity()
		return
	case *intstr.IntOrString:
		f.intOrString(target)
		return
	case *runtime.RawExtension:
		if f.sets() {
			target.Raw = []byte(one(f, documents))
		}
		return
	case *metav1.FieldsV1:
		if f.sets() {
			target.SetRawString(`{"f:metadata":{"f:labels":{".":{}}}}`)
		}
		return
	}
	f.plain(value)
}

func (f filler) plain(value reflect.Value) {
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			f.value(value.Field(i))
		}
	case reflect.Pointer:
		if f.sets() {
			value.Set(reflect.New(value.Type().Elem()))
			f.value(value.Elem())
		}
	case reflect.Slice:
		f.slice(value)
	case reflect.Map:
		f.entries(value)
	case reflect.String:
		if f.sets() {
			value.SetString(f.text())
		}
	case reflect.Bool:
		value.SetBool(f.sets())
	case reflect.Int32, reflect.Int64:
		if f.sets() {
			value.SetInt(f.integer(value.Type().Bits()))
		}
	default:
		panic("nothing fills " + value.Type().String())
	}
}

// slice leaves it nil or makes it empty or of some elements.
func (f filler) slice(value reflect.Value) {
	if !f.sets() {
		if f.presence > 0 && f.random.IntN(2) == 0 {
			value.Set(reflect.MakeSlice(value.Type(), 0, 0))
		}
		return
	}
	if value.Type().Elem().Kind() == reflect.Uint8 {
		bytes := make([]byte, 1+f.random.IntN(40))
		for i := range bytes {
			bytes[i] = byte(f.random.Uint32())
		}
		value.SetBytes(bytes)
		return
	}
	value.Set(reflect.MakeSlice(value.Type(), f.count(), 4))
	for i := range value.Len() {
		f.value(value.Index(i))
	}
}

// entries leaves a map nil or makes it empty or of some entries.
func (f filler) entries(value reflect.Value) {
	if !f.sets() {
		if f.presence > 0 && f.random.IntN(2) == 0 {
			value.Set(reflect.MakeMap(value.Type()))
		}
		return
	}
	value.Set(reflect.MakeMap(value.Type()))
	for range f.count() {
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		f.value(key)
		f.value(element)
		value.SetMapIndex(key, element)
	}
}

func (f filler) sets() bool { return f.random.Float64() < f.presence }

// count is of elements: mostly one, so that objects with everything in them stay small.
func (f filler) count() int {
	if f.random.IntN(4) > 0 {
		return 1
	}
	return 2 + f.random.IntN(3)
}

func one[T any](f filler, of []T) T { return of[f.random.IntN(len(of))] }

// runes are those that JSON must escape, those that it or some writer of it may, and of every length in UTF-8.
var runes = []rune("\x00\x01\b\t\n\v\f\r\x1b\x1f\"\\/<>&'\x7f\u0080\u00e9\u07ff\u0800\u2028\u2029\u6f22\ufeff\ufffd\uffff\U00010000\U0001f980\U0010ffff")

// noRunes are no UTF-8. Protobuf carries them all the same.
var noRunes = []string{"\xff", "\x80", "\xc3", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\xaf"}

func (f filler) text() string {
	var text strings.Builder
	length := 1 + f.random.IntN(12)
	if f.random.IntN(50) == 0 {
		length = 300 + f.random.IntN(3000)
	}
	strange := f.random.IntN(3) == 0
	for range length {
		switch {
		case strange && f.random.IntN(3) == 0:
			text.WriteRune(one(f, runes))
		case strange && f.random.IntN(50) == 0:
			text.WriteString(one(f, noRunes))
		default:
			text.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789-./"[f.random.IntN(39)])
		}
	}
	return text.String()
}

func (f filler) integer(bits int) int64 {
	smallest := int64(math.MinInt64) >> (64 - bits)
	edges := []int64{1, -1, 127, 128, -128, 16384, smallest, smallest + 1, -(smallest + 1), f.random.Int64N(1 << 16)}
	return one(f, edges)
}

// Seconds at the edges of what time in RFC 3339 can be, and of the zero time itself.
var (
	firstSecond = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

func (f filler) time() time.Time {
	if !f.sets() {
		return time.Time{}
	}
	seconds := []int64{
		firstSecond, firstSecond + 1, lastSecond, 0, 1, -1, 951782400, 4107542400,
		1700000000 + f.random.Int64N(100000000),
		firstSecond + f.random.Int64N(lastSecond-firstSecond),
	}
	nanos := []int64{0, 1, 999, 1000, 120000000, 999999999, f.random.Int64N(1000000000)}
	zone := time.FixedZone("", one(f, []int{0, 3600, -12600}))
	at := one(f, seconds)
	if f.presence == 1 && at == firstSecond {
		at = lastSecond
	}
	return time.Unix(at, one(f, nanos)).In(zone)
}

var quantities = []string{
	"1", "-1", "0.5", "100m", "1500m", "1n", "-7u", "0.000000001", "1e3", "1E3", "12e-3", "5k", "1.5M", "2T", "3P", "7E",
	"1Ki", "1.5Ki", "1.25Gi", "-5Mi", "1024Ki", "7Ei", "9223372036854775807", "123456789012345678901234567890", "1e27",
}

func (f filler) quantity() resource.Quantity {
	if !f.sets() {
		return one(f, []resource.Quantity{{}, resource.MustParse("0"), resource.MustParse("0Ki")})
	}
	return resource.MustParse(one(f, quantities))
}

func (f filler) intOrString(target *intstr.IntOrString) {
	if !f.sets() {
		return
	}
	if f.random.IntN(2) == 0 {
		target.Type = intstr.String
	}
	f.value(reflect.ValueOf(&target.IntVal).Elem())
	f.value(reflect.ValueOf(&target.StrVal).Elem())
}

// documents are what an extension may be: any JSON, written in any way.
var documents = []string{
	`{}`, `[]`, `true`, `-12.5e3`, `"text"`, " {\n \"a\" : [ 1 , null , { } ] } ",
	`{"kind":"Anything","apiVersion":"a/v1","escaped":"\u0000\"\\\/\ud83e\udd80","plain":"漢 <&>","depth":[[[{"x":[1.5,-0,1e9]}]]]}`,
}
