package states

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/crash"
)

// Numbers of <linux/netfilter/nfnetlink_log.h>.
const (
	nfulnlMsgPacket = 0
	nfulnlMsgConfig = 1

	nfulaPacketHdr = 1
	nfulaTimestamp = 3
	nfulaIndev     = 4
	nfulaOutdev    = 5
	nfulaPayload   = 9
	nfulaPrefix    = 10
	nfulaSeq       = 12

	nfulaCfgCmd     = 1
	nfulaCfgMode    = 2
	nfulaCfgTimeout = 4
	nfulaCfgFlags   = 6

	cfgCmdBind  = 1 // NFULNL_CFG_CMD_BIND
	copyPacket  = 2 // NFULNL_COPY_PACKET
	cfgFlagSeq  = 1 // NFULNL_CFG_F_SEQ
	sampleGroup = 2201
)

// ErrBusy says that another program listens to the log group.
var ErrBusy = errors.New("another program listens to this log group")

// An nflog is a socket that is bound to a log group.
type nflog struct {
	ns    ruleset.Namespace
	c     *netlink.Conn
	group uint16

	mu    sync.Mutex
	names *ruleset.IfNames
	seq   uint32
	begun bool
	lost  uint64
}

// openSamples binds the first free group from sampleGroup on: two ctviews in one namespace have one each.
func openSamples(ns ruleset.Namespace) (*nflog, error) {
	for g := uint16(sampleGroup); g < sampleGroup+50; g++ {
		l, err := openLog(ns, g)
		if !errors.Is(err, ErrBusy) {
			return l, err
		}
	}
	return nil, fmt.Errorf("states: log groups %d and up: %w", sampleGroup, ErrBusy)
}

func openLog(ns ruleset.Namespace, group uint16) (*nflog, error) {
	l := &nflog{ns: ns, group: group, names: ruleset.NewIfNames(ns)}
	err := ns.Do(func() (err error) {
		l.c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("states: %w", err)
	}
	_ = l.c.SetReadBuffer(1 << 20)
	err = l.config(netlink.Attribute{Type: nfulaCfgCmd, Data: []byte{cfgCmdBind}})
	if err == nil {
		// struct nfulnl_msg_config_mode: copy_range (be32), copy_mode; timeout in 1/100 s.
		err = l.config(netlink.Attribute{Type: nfulaCfgMode, Data: []byte{0, 0, 0, snaplen, copyPacket, 0}},
			netlink.Attribute{Type: nfulaCfgTimeout, Data: []byte{0, 0, 0, 10}},
			netlink.Attribute{Type: nfulaCfgFlags, Data: []byte{0, cfgFlagSeq}})
	}
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EPERM) && l.bound():
		err = fmt.Errorf("states: log group %d: %w", group, ErrBusy)
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("states: log group %d: %w", group, ctnl.ErrPermission)
	case err != nil:
		err = fmt.Errorf("states: log group %d: %w", group, err)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// bound reports whether somebody has the group: the kernel answers EPERM for that too (nfulnl_recv_config).
func (l *nflog) bound() bool {
	var b []byte
	_ = l.ns.Do(func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_log")
		return err
	})
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == strconv.Itoa(int(l.group)) {
			return true
		}
	}
	return false
}

func (l *nflog) close() { _ = l.c.Close() }

// config sends one configuration message and waits for its answer.
func (l *nflog) config(attrs ...netlink.Attribute) error {
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	_, err = l.c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_ULOG<<8 | nfulnlMsgConfig), Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, byte(l.group >> 8), byte(l.group)}, b...)})
	return err
}

// run reads until ctx ends. It may be run again after that: the deadline that ends one run is gone before the next.
func (l *nflog) run(ctx context.Context, fn func(*model.Sample)) error {
	defer crash.Guard()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer crash.Guard()
		defer close(woken)
		_ = l.c.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-woken
		}
		_ = l.c.SetReadDeadline(time.Time{})
	}()
	for {
		ms, err := l.c.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			continue // the gap shows in the sequence numbers
		case err != nil:
			return fmt.Errorf("states: log group %d: %w", l.group, err)
		}
		for _, m := range ms {
			if int(m.Header.Type) != unix.NFNL_SUBSYS_ULOG<<8|nfulnlMsgPacket || len(m.Data) < 4 {
				continue
			}
			if s, ok := l.sample(m.Data[4:]); ok {
				fn(&s)
			}
		}
	}
}

// sample decodes one message. One of which a length cannot be is not shown but counted with those that were lost.
func (l *nflog) sample(b []byte) (s model.Sample, ok bool) {
	var payload []byte
	s.At = time.Now().UnixNano()
	err := ctnl.EachAttr(b, func(typ uint16, v []byte) {
		switch {
		case typ == nfulaPacketHdr && len(v) >= 4: // struct nfulnl_msg_packet_hdr
			s.Hook = v[2]
		case typ == nfulaTimestamp && len(v) >= 16:
			s.At = int64(binary.BigEndian.Uint64(v))*1e9 + int64(binary.BigEndian.Uint64(v[8:]))*1e3
		case typ == nfulaIndev:
			s.In = l.names.Name(v)
		case typ == nfulaOutdev:
			s.Out = l.names.Name(v)
		case typ == nfulaPayload:
			payload = v
		case typ == nfulaPrefix:
			l.prefix(&s, strings.TrimRight(string(v), "\x00"))
		case typ == nfulaSeq && len(v) >= 4:
			s.Seq = binary.BigEndian.Uint32(v)
			l.gap(s.Seq)
		}
	})
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost++
		return s, false
	}
	return s, s.State != 0 && Decode(payload, &s)
}

// prefix tells the state, or the kernel's reason for INVALID.
func (l *nflog) prefix(s *model.Sample, p string) {
	switch {
	case p == prefixInvalid:
		s.State = model.CtInvalid
	case p == prefixUntracked:
		s.State = model.CtUntracked
	case strings.HasPrefix(p, "nf_ct_"):
		s.State = model.CtInvalid
		_, reason, ok := strings.Cut(p, ": ")
		if !ok {
			reason = p
		}
		s.Reason = strings.TrimSpace(reason)
	}
}

// gap counts what is missing between two sequence numbers.
func (l *nflog) gap(seq uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun && seq != l.seq+1 {
		l.lost += uint64(seq - l.seq - 1)
	}
	l.begun, l.seq = true, seq
}
