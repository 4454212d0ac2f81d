package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ctview/ctnl"
	"ctview/model"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// flowSettings are the flags that say what a flow shall be: all of add's, those of update that the kernel can change.
type flowSettings struct {
	timeout        uint32
	state          string
	mark           string
	status         string
	helper         string
	labels         string
	snat, dnat     string
	changedTimeout bool
	changedHelper  bool
}

// addFlags adds the flags; create says that they are for a new flow.
func (s *flowSettings) addFlags(cmd *cobra.Command, create bool) {
	f := cmd.Flags()
	addSeconds(f, &s.timeout, "`TIME` until the flow ends, e.g. 120 or 5m")
	f.StringVar(&s.state, "state", "", "protocol `STATE`, e.g. ESTABLISHED")
	f.StringVarP(&s.mark, "mark", "m", "", "mark, `VALUE[/MASK]`; 0x for hexadecimal")
	f.StringVarP(&s.status, "status", "u", "", "status bits to set, `BIT,...`: assured, seen_reply, fixed_timeout and others")
	f.StringVar(&s.helper, "helper", "", "helper's `NAME`")
	if !create {
		f.Lookup("helper").Usage += `; "" takes it away`
		_ = f.SetAnnotation("helper", mayBeEmpty, []string{"true"})
	}
	f.StringVarP(&s.labels, "labels", "l", "", "labels to set, `NAME|BIT,...`; -NAME takes one away")
	if create {
		f.StringVar(&s.snat, "snat", "", "translate the source to `ADDRESS[:PORT]`")
		f.StringVar(&s.dnat, "dnat", "", "translate the destination to `ADDRESS[:PORT]`")
	}
}

// seen notes which flags the user gave.
func (s *flowSettings) seen(cmd *cobra.Command) {
	s.changedTimeout = cmd.Flags().Changed("timeout")
	s.changedHelper = cmd.Flags().Changed("helper")
}

// empty reports whether nothing is to be set.
func (s *flowSettings) empty() bool {
	return !s.changedTimeout && !s.changedHelper && s.state == "" && s.mark == "" && s.status == "" && s.labels == ""
}

// apply puts the settings into spec, whose key says the protocol. Its errors are usage errors.
func (s *flowSettings) apply(spec *ctnl.Spec) error {
	if s.changedTimeout {
		spec.Timeout = s.timeout
		spec.Has |= model.HasTimeout
	}
	if s.changedHelper {
		spec.HelperName, spec.Flow.Helper = s.helper, 0
		spec.Has |= model.HasHelper
	}
	for _, set := range []func(*ctnl.Spec) error{s.setState, s.setMark, s.setStatus, s.setLabels, s.setNAT} {
		if err := set(spec); err != nil {
			return err
		}
	}
	return nil
}

// check reports what is wrong whatever the flow is.
func (s *flowSettings) check() error {
	var spec ctnl.Spec
	return cmp.Or(s.setMark(&spec), s.setStatus(&spec), s.setLabels(&spec))
}

func (s *flowSettings) setState(spec *ctnl.Spec) error {
	if s.state == "" {
		return nil
	}
	names := model.StateNames(spec.Flow.Proto)
	if names == nil {
		return usageError{fmt.Sprintf("--state: %s has no states", spec.Flow.Proto), "only tcp, sctp and dccp flows have one"}
	}
	i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, strings.ReplaceAll(s.state, "-", "_")) })
	if i < 0 {
		return usageError{fmt.Sprintf("--state: unknown state %q", s.state), spec.Flow.Proto.String() + " has " + strings.Join(names, ", ")}
	}
	spec.Flow.State = model.State(i)
	spec.Flow.Known |= model.KnownState
	spec.Has |= model.HasProtoinfo
	return nil
}

func (s *flowSettings) setMark(spec *ctnl.Spec) error {
	if s.mark == "" {
		return nil
	}
	value, mask, masked := strings.Cut(s.mark, "/")
	v, err := strconv.ParseUint(value, 0, 32)
	m := uint64(0xffffffff)
	if err == nil && masked {
		m, err = strconv.ParseUint(mask, 0, 32)
	}
	if err != nil {
		return usageError{fmt.Sprintf("--mark: %q is not VALUE or VALUE/MASK of 32 bits", s.mark), "e.g. --mark 0x10 or --mark 0x10/0xf0"}
	}
	spec.Flow.Mark = uint32(v)
	spec.MarkMask, spec.HasMarkMask = uint32(m), masked
	spec.Has |= model.HasMark
	return nil
}

// settable are the status bits that ctnetlink lets a program set; the kernel keeps the others to itself (IPS_UNCHANGEABLE_MASK).
const settable = model.StatusSeenReply | model.StatusAssured | model.StatusFixedTimeout

func (s *flowSettings) setStatus(spec *ctnl.Spec) error {
	if s.status == "" {
		return nil
	}
	names := model.StatusNames()
	for _, w := range strings.Split(s.status, ",") {
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, strings.ReplaceAll(w, "-", "_")) })
		if i < 0 {
			return usageError{fmt.Sprintf("--status: unknown bit %q", w), "the bits that can be set are seen_reply, assured, fixed_timeout"}
		}
		bit := model.Status(1) << i
		if !settable.Has(bit) {
			return usageError{fmt.Sprintf("--status: the kernel does not let a program set %s", names[i]),
				"the bits that can be set are seen_reply, assured, fixed_timeout; none can be taken back"}
		}
		spec.Flow.Status |= bit
	}
	spec.Has |= model.HasStatus
	return nil
}

func (s *flowSettings) setLabels(spec *ctnl.Spec) error {
	if s.labels == "" {
		return nil
	}
	spec.Extra.Labels, spec.LabelsMask = model.Labels{}, model.Labels{}
	for _, w := range strings.Split(s.labels, ",") {
		name, take := strings.CutPrefix(w, "-")
		bit, ok := systemLabels().Bit(name)
		if n, err := strconv.ParseUint(name, 10, 8); err == nil && !ok {
			bit, ok = int(n), n < model.LabelBits
		}
		if !ok {
			return usageError{fmt.Sprintf("--labels: unknown label %q", name), "a bit from 0 to 127, or a name of " + connlabelFile}
		}
		if !take {
			spec.Extra.Labels.Set(bit)
		}
		spec.LabelsMask.Set(bit)
	}
	spec.HasLabelsMask = true
	spec.Has |= model.HasLabels
	return nil
}

func (s *flowSettings) setNAT(spec *ctnl.Spec) error {
	for _, n := range []struct {
		flag, text string
		to         **ctnl.NATRange
	}{{"--snat", s.snat, &spec.SrcNAT}, {"--dnat", s.dnat, &spec.DstNAT}} {
		if n.text == "" {
			continue
		}
		a, port, _, err := parseEndpoint(n.text)
		if err != nil || a.Is4() != (spec.Flow.Family == model.IPv4) {
			return usageError{fmt.Sprintf("%s: %q is not an %s address", n.flag, n.text, spec.Flow.Family), "ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"}
		}
		*n.to = &ctnl.NATRange{Min: a, PortMin: port, PortMax: port}
	}
	return nil
}

// explain tells an errno by the request that met it: the kernel has few of them and means another thing by each. What it
// says nothing of is returned as it is.
func (s *flowSettings) explain(spec *ctnl.Spec, create bool, err error) error {
	helper := spec.Has&model.HasHelper != 0 && s.helper != ""
	var why string
	switch {
	// A user without the capability would not have got this far: ctnetlink_change_timeout means the flow.
	case errors.Is(err, ctnl.ErrPermission) && s.changedTimeout && spec.Flow.Status.Has(model.StatusFixedTimeout):
		why = "--timeout: the flow has FIXED_TIMEOUT, which cannot be taken back"
	case errors.Is(err, unix.EOPNOTSUPP) && helper:
		why = fmt.Sprintf("--helper: this kernel has no helper %q for %s over %s", s.helper, spec.Flow.Proto, spec.Flow.Family)
		if !create {
			why += ", or the flow has none: the kernel gives a helper to new flows only"
		}
	case errors.Is(err, ctnl.ErrExists) && create:
		why = "such a flow is there already, or one whose replies it would take"
	case errors.Is(err, unix.EBUSY) && helper:
		why = "--helper: the flow has another helper, which can be taken away and not changed"
	case errors.Is(err, unix.ENOSPC) && spec.Has&model.HasLabels != 0:
		why = "--labels: the flow has no room for labels: no rule of this namespace used them when it began"
	default:
		return err
	}
	return failure{errors.New(why)}
}
