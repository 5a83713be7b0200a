package main

import (
	"os"
	"strconv"
	"strings"
)

// memory is what the kernel counts for this process, in bytes.
type memory struct{ resident, peak int64 }

func memoryNow() memory {
	status, _ := os.ReadFile("/proc/self/status")
	bytes := func(name string) int64 {
		for _, line := range strings.Split(string(status), "\n") {
			if rest, found := strings.CutPrefix(line, name+":"); found {
				kibibytes, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				return kibibytes * 1024
			}
		}
		return 0
	}
	return memory{bytes("VmRSS"), bytes("VmHWM")}
}

func (m memory) over(empty memory) memory {
	return memory{max(0, m.resident-empty.resident), max(0, m.peak-empty.resident)}
}
