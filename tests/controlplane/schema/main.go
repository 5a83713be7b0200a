// Command schema writes how the built-in kinds of Kubernetes look in protobuf, for a reader without generated code.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// schemaFile is where the library reads the schema from, as seen from the directory of the module.
const schemaFile = "../../sdk/src/wire/protobuf/schema.txt"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if !slices.Equal(arguments, []string{"write"}) {
		return errors.New("usage: go run ./schema write")
	}
	text, err := writeSchema()
	if err != nil {
		return err
	}
	return os.WriteFile(schemaFile, []byte(text), 0o644)
}
