package filter

import (
	"slices"
	"strings"

	"ctview/model"
)

// Explain returns what "ctview explain" prints: the filter as it was understood, what of it the kernel does, and notes
// on what its words mean where people may expect something else. The last line has no newline.
func (f *Filter) Explain() string {
	if f == nil {
		return "filter  none: every flow matches\nkernel  sends everything"
	}
	var b strings.Builder
	b.WriteString("filter  " + model.Escape(f.String()) + "\n")
	k := f.Kernel()
	if k.IsZero() {
		b.WriteString("kernel  sends everything; ctview filters\n")
	} else {
		b.WriteString("kernel  sends only what is " + kernelText(k) + "; ctview filters the rest and checks this again\n")
	}
	for _, n := range f.Notes() {
		b.WriteString("note    " + n + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Notes says what words of f mean where people may expect something else, and what the kernel must be told to tell.
// Each note is one line.
func (f *Filter) Notes() []string {
	if f == nil {
		return nil
	}
	var notes []string
	f.root.each(func(p *pred) {
		if n := p.note(); n != "" && !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	})
	return notes
}

// note returns what a user should know of p, "" for nothing.
func (p *pred) note() string {
	text := model.Escape(string(p.append(nil)))
	if p.master && p.field == fieldHelper {
		return text + " asks for the helper of the flow that announced this one; it is known as long as that flow is in the table"
	}
	if p.master {
		return text + " asks of the flow that announced this one"
	}
	switch p.field {
	case fieldState:
		return p.stateNote()
	case fieldCtState:
		return p.ctStateNote()
	case fieldBytes, fieldPackets, fieldAvgPkt:
		return "a flow has a " + fieldInfos[p.field].noun +
			" only if net.netfilter.nf_conntrack_acct was 1 when it began; others never match"
	case fieldRate, fieldPPS:
		return "a rate needs two readings of the counters, some time apart; a single listing has none"
	case fieldAge:
		return "the kernel tells a flow's age only with net.netfilter.nf_conntrack_timestamp=1; " +
			"without, what ctview has seen of it counts"
	case fieldLived, fieldEnded:
		return text + " is of flows that have ended: Recent and events know them, the table does not"
	case fieldTimeout:
		return "offloaded flows have no timeout and never match"
	case fieldZone:
		if p.side == sideBoth {
			return "" // what people expect
		}
		return text + ": a zone tied to the other direction counts as 0 here"
	case fieldHelper, fieldSecctx:
		if p.rel == relNe {
			return text + " also matches flows without one"
		}
	case fieldPID, fieldProc, fieldUser, fieldCgroup:
		return p.ownerNote(text)
	case fieldIif, fieldOif:
		return text + " goes by the routes now, for flows that are forwarded; others have none"
	case fieldFlag:
		if p.flag == flagForwarded || p.flag == flagLocal {
			return text + " goes by the addresses of this machine now, after NAT"
		}
	case fieldPort:
		if p.rel == relNe {
			return text + " also matches protocols without ports"
		}
	case fieldText:
		return text + " is searched in protocol, state, addresses and ports, helper, labels and security context"
	}
	return ""
}

// ownerNote says whose socket is meant.
func (p *pred) ownerNote(text string) string {
	switch p.side {
	case sideOrig:
		return text + " is who holds the socket of the end that began the flow, if that is on this machine"
	case sideReply:
		return text + " is who holds the socket of the end that answers, if that is on this machine"
	}
	return text + " is who holds a socket of the flow on this machine, at either end; forwarded flows have none here"
}

// stateNote says whose state is meant.
func (p *pred) stateNote() string {
	protos := map[string]bool{}
	for _, v := range p.vals {
		for _, pr := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
			for _, n := range model.StateNames(pr) {
				if foldWord(n) == v.name {
					protos[pr.Name()] = true
				}
			}
		}
	}
	note := string(p.append(nil)) + " is what the STATE column shows"
	var names []string
	for _, pr := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
		if protos[pr.Name()] {
			names = append(names, pr.Name())
		}
	}
	if len(names) > 0 {
		note += ", so " + strings.Join(names, ", ") + " only"
	}
	if slices.ContainsFunc(p.vals, func(v val) bool { return v.name == "established" }) {
		note += `; nft's meaning, a reply was seen, is "ct state established"`
	}
	return note
}

// ctStateNote says what nft means by the states.
func (p *pred) ctStateNote() string {
	var parts []string
	for _, v := range p.vals {
		switch model.CtState(v.lo) {
		case model.CtNew:
			parts = append(parts, "new: no reply yet")
		case model.CtEstablished:
			parts = append(parts, "established: a reply was seen, whatever the protocol's own state")
		case model.CtRelated:
			parts = append(parts, "related: expected by another flow, no reply yet")
		case model.CtInvalid, model.CtUntracked:
			parts = append(parts, model.CtState(v.lo).String()+": packets only, no flow is that")
		}
	}
	return "ct state as nft means it; " + strings.Join(parts, "; ")
}
