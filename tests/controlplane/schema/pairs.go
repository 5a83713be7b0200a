package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
)

// codecs write as the API server does, whose lists go out item by item.
var codecs = serializer.NewCodecFactory(
	scheme.Scheme,
	serializer.WithStreamingCollectionEncodingToJSON(),
	serializer.WithStreamingCollectionEncodingToProtobuf(),
)

// pair is the same list, and the same watch, of one kind in both encodings.
type pair struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	List       body   `json:"list"`
	Watch      body   `json:"watch"`
}

// body is what a response holds. Of a watch, the JSON is an array of its events.
type body struct {
	Protobuf []byte          `json:"protobuf"`
	JSON     json.RawMessage `json:"json"`
}

// writePairs writes one pair a line and kind, of objects made at random.
func writePairs(out io.Writer, seed uint64) error {
	kinds, err := listedKinds()
	if err != nil {
		return err
	}
	lines := json.NewEncoder(out)
	for i, kind := range kinds {
		maker := &maker{kind: kind, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		pair, err := maker.pair()
		if err != nil {
			return fmt.Errorf("%s: %w", kind.gvk, err)
		}
		if err := lines.Encode(pair); err != nil {
			return err
		}
	}
	return nil
}

// maker makes the objects of a kind, each with a name of its own, and a version after that of the one before.
type maker struct {
	kind   listedKind
	random *rand.Rand
	made   int
}

// presences are how full the objects of a list, and of the beginning of a watch, are.
var presences = []float64{1, 0, 0.8, 0.5, 0.2}

func (m *maker) pair() (pair, error) {
	made := pair{APIVersion: m.kind.gvk.GroupVersion().String(), Kind: m.kind.gvk.Kind}
	list, err := m.list()
	if err != nil {
		return made, err
	}
	if made.List.Protobuf, err = m.encode(runtime.ContentTypeProtobuf, list); err != nil {
		return made, err
	}
	if made.List.JSON, err = m.encode(runtime.ContentTypeJSON, list); err != nil {
		return made, err
	}
	events, err := m.events()
	if err != nil {
		return made, err
	}
	if made.Watch.Protobuf, err = m.stream(runtime.ContentTypeProtobuf, events); err != nil {
		return made, err
	}
	lines, err := m.stream(runtime.ContentTypeJSON, events)
	made.Watch.JSON = array(lines)
	return made, err
}

// list makes a whole one.
func (m *maker) list() (runtime.Object, error) {
	list := reflect.New(m.kind.listType)
	items := list.Elem().FieldByName("Items")
	for _, presence := range presences {
		object, err := m.object(presence)
		if err != nil {
			return nil, err
		}
		items.Set(reflect.Append(items, reflect.ValueOf(object).Elem()))
	}
	list.Interface().(metav1.ListInterface).SetResourceVersion(strconv.Itoa(m.made))
	return list.Interface().(runtime.Object), nil
}

// events make a watch that begins with what exists, says so, and goes on with a change and a deletion.
func (m *maker) events() ([]watch.Event, error) {
	var events []watch.Event
	add := func(what watch.EventType, presence float64) error {
		object, err := m.object(presence)
		events = append(events, watch.Event{Type: what, Object: object})
		return err
	}
	for _, presence := range presences {
		if err := add(watch.Added, presence); err != nil {
			return nil, err
		}
	}
	bookmark := reflect.New(m.kind.object).Interface().(runtime.Object)
	metadata := bookmark.(metav1.Object)
	metadata.SetResourceVersion(strconv.Itoa(m.made))
	metadata.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	events = append(events, watch.Event{Type: watch.Bookmark, Object: bookmark})
	if err := add(watch.Modified, 0.5); err != nil {
		return nil, err
	}
	return events, add(watch.Deleted, 0.5)
}

// object makes one as the API server reads it from etcd, where it is in protobuf: what protobuf cannot tell apart, an empty
// slice and none, is the same.
func (m *maker) object(presence float64) (runtime.Object, error) {
	filled, read := reflect.New(m.kind.object), reflect.New(m.kind.object)
	filler{random: m.random, presence: presence}.value(filled.Elem())
	filled.Elem().FieldByName("TypeMeta").SetZero()
	m.made++
	metadata := filled.Interface().(metav1.Object)
	metadata.SetName("object-" + strconv.Itoa(m.made))
	metadata.SetNamespace("space")
	metadata.SetUID(types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", m.random.Uint32(), m.made)))
	metadata.SetResourceVersion(strconv.Itoa(m.made))
	stored, err := filled.Interface().(protobufMessage).Marshal()
	if err != nil {
		return nil, err
	}
	err = read.Interface().(interface{ Unmarshal([]byte) error }).Unmarshal(stored)
	// The API server adds what protobuf has no place for.
	switch object := read.Interface().(type) {
	case *appsv1.StatefulSet: // https://issue.k8s.io/87583
		for i := range object.Spec.VolumeClaimTemplates {
			claim := &object.Spec.VolumeClaimTemplates[i]
			claim.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
		}
	case *metav1.PartialObjectMetadata:
		object.SetGroupVersionKind(m.kind.gvk)
	}
	return read.Interface().(runtime.Object), err
}

func (m *maker) encode(mediaType string, object runtime.Object) ([]byte, error) {
	codecs := codecs
	if m.kind == metadataAlone {
		codecs = metainternalscheme.Codecs
	}
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	var out bytes.Buffer
	err := codecs.EncoderForVersion(info.Serializer, m.kind.gvk.GroupVersion()).Encode(object, &out)
	return out.Bytes(), err
}

// stream writes events as the watch handler of the API server does: an object in full, its event in the form for streams,
// which in protobuf has no envelope, and that in a frame.
func (m *maker) stream(mediaType string, events []watch.Event) ([]byte, error) {
	watched := m.kind.gvk.GroupVersion()
	if m.kind == metadataAlone {
		// Events are of the version of the kind whose metadata it is: any.
		watched = corev1.SchemeGroupVersion
	}
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	encoder := codecs.EncoderForVersion(info.StreamSerializer.Serializer, watched)
	var out bytes.Buffer
	frames := info.StreamSerializer.Framer.NewFrameWriter(&out)
	for _, event := range events {
		object, err := m.encode(mediaType, event.Object)
		if err != nil {
			return nil, err
		}
		var frame bytes.Buffer
		sent := &metav1.WatchEvent{Type: string(event.Type), Object: runtime.RawExtension{Raw: object}}
		if err := encoder.Encode(sent, &frame); err != nil {
			return nil, err
		}
		if _, err := frames.Write(frame.Bytes()); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// array makes one of JSON values that stand on lines.
func array(lines []byte) json.RawMessage {
	values := bytes.Split(bytes.TrimSpace(lines), []byte("\n"))
	return json.RawMessage("[" + string(bytes.Join(values, []byte(","))) + "]")
}
