package ruleset

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"ctview/ctnl"
)

// A Namespace runs a function in a network namespace. *ctnl.Netns is one.
type Namespace interface {
	Do(func() error) error
}

// Here is the namespace of the caller's thread.
type Here struct{}

// Do implements Namespace.
func (Here) Do(fn func() error) error { return fn() }

// ReadIn reads a file of /proc in the namespace; "" where it cannot. /proc/thread-self is the thread that is in it.
func ReadIn(ns Namespace, file string) string {
	var b []byte
	_ = ns.Do(func() (err error) {
		b, err = os.ReadFile(file)
		return err
	})
	return string(bytes.TrimSpace(b))
}

// commandTimeout bounds one run of an iptables program.
const commandTimeout = 15 * time.Second

// Run executes a program in the namespace. Nothing of the user's environment but PATH reaches it.
func Run(ctx context.Context, ns Namespace, stdin []byte, name string, args ...string) ([]byte, error) {
	path, err := lookTool(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C"}
	if stdin != nil {
		cmd.Stdin = strings.NewReader(string(stdin))
	}
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := ns.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Wait(); err != nil {
		text := strings.TrimSpace(diag.String())
		if strings.Contains(text, "Permission denied") || strings.Contains(text, "you must be root") {
			return nil, fmt.Errorf("%s: %w", name, ctnl.ErrPermission)
		}
		return nil, fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return []byte(out.String()), nil
}

// lookTool finds a program where administrators' programs are, whatever PATH says.
func lookTool(name string) (string, error) {
	for _, d := range [...]string{"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/", "/usr/local/sbin/"} {
		if p, err := exec.LookPath(d + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// IfNames are the names of a namespace's interfaces by their index, each asked for once. Not safe for concurrent use.
type IfNames struct {
	ns    Namespace
	names map[uint32]string
}

// NewIfNames returns the names of ns, none of them asked for yet.
func NewIfNames(ns Namespace) *IfNames { return &IfNames{ns: ns, names: map[uint32]string{}} }

// Name returns the name of the interface whose index is v, an attribute of four bytes in network order: "if7" where there is
// no such interface any more, "" where v is no index.
func (n *IfNames) Name(v []byte) string {
	if len(v) < 4 {
		return ""
	}
	i := binary.BigEndian.Uint32(v)
	if name, ok := n.names[i]; ok {
		return name
	}
	name := fmt.Sprint("if", i)
	_ = n.ns.Do(func() error {
		d, err := net.InterfaceByIndex(int(i))
		if err == nil {
			name = d.Name
		}
		return err
	})
	n.names[i] = name
	return name
}
