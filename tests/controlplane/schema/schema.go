package main

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeSchema returns the whole schema.
func writeSchema() (string, error) {
	release, err := kubernetesRelease()
	if err != nil {
		return "", err
	}
	kinds, err := listedKinds()
	if err != nil {
		return "", err
	}
	messages, err := messagesOf(kinds)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString(header(release))
	for _, kind := range kinds {
		kind.write(&text)
	}
	// The API server sends one in a watch that failed.
	fmt.Fprintf(&text, "kind v1 Status %s\n", messageName(reflect.TypeFor[metav1.Status]()))
	messages.write(&text)
	return text.String(), nil
}

// kubernetesRelease returns the release that the types are of, as in 1.37.2.
func kubernetesRelease() (string, error) {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "k8s.io/api" {
			// v0.37.2 is the module of 1.37.2.
			return "1" + strings.TrimPrefix(module.Version, "v0"), nil
		}
	}
	return "", errors.New("this program was built without the versions of its modules")
}

func header(release string) string {
	return `# How the built-in kinds of Kubernetes ` + release + `, and the metadata of any kind (PartialObjectMetadata), look in
# protobuf, and what becomes of each field in JSON.
# The program in tests/controlplane/schema writes this; tests/controlplane/README.md says when and how.
#
# kind <apiVersion> <kind> <message>
# message <name>
# <number> <name in JSON> <presence><shape><type>
#
# Of a name ".", the fields are written among those of the message around it.
# Presence: ? when it came, even when zero   * the same, otherwise null   - when neither zero nor empty
#           ! always: zero, null, or as an empty message when it did not come
# Shape:    [] repeated   {} a map by string (key 1, value 2)
# Type:     string, bytes (base64), bool, int (a signed varint), time (seconds 1, nanos 2), microtime (the same),
#           quantity (string 1), intorstring (type 1, int 2, string 3), raw (JSON in bytes 1), strings (repeated string 1,
#           an array in JSON), or the name of a message.
`
}
