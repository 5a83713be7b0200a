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

// cpuSeconds is the processor time of this process so far, read where kubewright's own measurement reads it.
func cpuSeconds() float64 {
	stat, _ := os.ReadFile("/proc/self/stat")
	// utime and stime are the fourteenth and fifteenth field of all, in hundredths; the name is the second.
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	kernel, _ := strconv.ParseFloat(fields[12], 64)
	return (user + kernel) / 100
}
