package main

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// stable are the versions whose encoding no release changes but by adding to it.
var stable = regexp.MustCompile(`^v[0-9]+$`)

// listedKind is a kind that can be listed and watched.
type listedKind struct {
	gvk      schema.GroupVersionKind
	object   reflect.Type
	listType reflect.Type
}

// metadataAlone is what the API server sends of objects of every kind, custom resources too, when only their metadata is
// asked for.
var metadataAlone = listedKind{
	gvk:      metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"),
	object:   reflect.TypeFor[metav1.PartialObjectMetadata](),
	listType: reflect.TypeFor[metav1.PartialObjectMetadataList](),
}

func (k listedKind) write(text *strings.Builder) {
	fmt.Fprintf(text, "kind %s %s %s\n", k.gvk.GroupVersion(), k.gvk.Kind, messageName(k.object))
}

// listedKinds returns metadata alone, and the kinds in a stable version that have a list, in the order of group, version
// and kind.
func listedKinds() ([]listedKind, error) {
	if err := checkList(metadataAlone.listType); err != nil {
		return nil, err
	}
	kinds := []listedKind{metadataAlone}
	for gvk, object := range scheme.Scheme.AllKnownTypes() {
		listType, listed := scheme.Scheme.AllKnownTypes()[gvk.GroupVersion().WithKind(gvk.Kind+"List")]
		if !listed || !stable.MatchString(gvk.Version) {
			continue
		}
		items, found := listType.FieldByName("Items")
		if !found || items.Type != reflect.SliceOf(object) {
			continue
		}
		if err := checkList(listType); err != nil {
			return nil, fmt.Errorf("%s: %w", gvk, err)
		}
		kinds = append(kinds, listedKind{gvk: gvk, object: object, listType: listType})
	}
	slices.SortFunc(kinds, func(a, b listedKind) int {
		return cmp.Or(
			cmp.Compare(a.gvk.Group, b.gvk.Group),
			cmp.Compare(a.gvk.Version, b.gvk.Version),
			cmp.Compare(a.gvk.Kind, b.gvk.Kind),
		)
	})
	return kinds, nil
}

// checkList sees to it that a list is what the schema leaves unsaid: metadata first, then items.
func checkList(listType reflect.Type) error {
	fields, err := fieldsOf(listType)
	if err != nil {
		return err
	}
	if len(fields) != 2 || fields[0].jsonName != "metadata" || fields[1].jsonName != "items" ||
		fields[0].number != 1 || fields[1].number != 2 || fields[0].goType != reflect.TypeFor[metav1.ListMeta]() {
		return fmt.Errorf("%s is not a list of metadata (1) and items (2)", listType)
	}
	return nil
}
