// Command schema writes how the built-in kinds of Kubernetes, and the metadata of any kind, look in protobuf, for a reader
// without generated code, and objects of all of them in protobuf and in JSON, for the tests of such a reader.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// schemaFile is where the library reads the schema from, as seen from the directory of the module.
const schemaFile = "../../sdk/src/wire/protobuf/schema.txt"

var errUsage = errors.New("usage: go run ./schema write | pairs SEED")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "write":
		text, err := writeSchema()
		if err != nil {
			return err
		}
		return os.WriteFile(schemaFile, []byte(text), 0o644)
	case len(arguments) == 2 && arguments[0] == "pairs":
		seed, err := strconv.ParseUint(arguments[1], 10, 64)
		if err != nil {
			return errUsage
		}
		out := bufio.NewWriter(os.Stdout)
		if err := writePairs(out, seed); err != nil {
			return err
		}
		return out.Flush()
	default:
		return errUsage
	}
}
