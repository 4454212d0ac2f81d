package ctnl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"ctview/model"
)

// sysctlDir holds conntrack's settings; those that are not the host's are the thread's namespace's.
const sysctlDir = "/proc/sys/net/netfilter/"

// Sysctl reads /proc/sys/net/netfilter/name inside the namespace, without the newline. Errors wrap fs.ErrNotExist
// where the kernel has no such setting.
func (n *Netns) Sysctl(name string) (string, error) {
	var text string
	err := n.Do(func() error {
		b, err := os.ReadFile(sysctlDir + name)
		text = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ctnl: read %s: %w", name, err)
	}
	return text, nil
}

// SetSysctl writes value to /proc/sys/net/netfilter/name inside the namespace. Errors wrap ErrPermission or
// fs.ErrNotExist.
func (n *Netns) SetSysctl(name, value string) error {
	err := n.Do(func() error { return os.WriteFile(sysctlDir+name, []byte(value), 0) })
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("ctnl: set %s to %s: %w", name, value, ErrPermission)
	}
	if err != nil {
		return fmt.Errorf("ctnl: set %s to %s: %w", name, value, err)
	}
	return nil
}

// readSetting reads a number on the calling thread, which must be in the namespace meant.
func readSetting(name string) model.Setting {
	b, err := os.ReadFile(sysctlDir + name)
	if err != nil {
		return model.Setting{}
	}
	v, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return model.Setting{Value: v, OK: err == nil}
}

// EventsOff reports whether the kernel tells no events of the namespace at all: net.netfilter.nf_conntrack_events is 0. It
// is false where that cannot be read.
func (n *Netns) EventsOff() bool {
	var s model.Setting
	err := n.Do(func() error {
		s = readSetting("nf_conntrack_events")
		return nil
	})
	return err == nil && s.OK && s.Value == 0
}
