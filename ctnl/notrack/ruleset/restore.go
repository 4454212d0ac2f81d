package ruleset

import (
	"slices"

	"golang.org/x/sys/unix"
)

// RestoresMark reports whether a rule gives packets the mark of their flow before they are routed: nft's "meta mark set ct mark",
// or -j CONNMARK --restore-mark. Not read is none.
func RestoresMark(ns Namespace) bool {
	rd, err := Dial(ns)
	if err != nil {
		return false
	}
	defer rd.Close()
	if rs, err := rd.Read(); err == nil && rs.restoresMark() {
		return true
	}
	return slices.ContainsFunc(LegacyRead(ns).Rules, func(r XTRule) bool {
		return r.Option("-j") == "CONNMARK" && slices.Contains(r.Args, "--restore-mark") && r.Chain != "OUTPUT" && r.Chain != "POSTROUTING"
	})
}

// restoresMark looks at the chains that packets meet before they are routed, and at those that are called, wherever from.
func (rs *Ruleset) restoresMark() bool {
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if (!c.Base || c.Hook == unix.NF_INET_PRE_ROUTING) && slices.ContainsFunc(c.Rules, func(r Rule) bool { return r.restoresMark() }) {
			return true
		}
	}
	return false
}

func (r *Rule) restoresMark() bool {
	const connmarkRestore = 2 // XT_CONNMARK_RESTORE, the byte behind three words of struct xt_connmark_tginfo1
	from := -1                // the register with the flow's mark
	for i := range r.Exprs {
		x := &r.Exprs[i]
		switch {
		case x.Name == "ct" && x.U32(unix.NFTA_CT_KEY) == unix.NFT_CT_MARK && x.Attr(unix.NFTA_CT_DREG) != nil:
			from = Register(x.U32(unix.NFTA_CT_DREG))
		case x.Name == "meta" && x.U32(unix.NFTA_META_KEY) == unix.NFT_META_MARK && x.Attr(unix.NFTA_META_SREG) != nil:
			if Register(x.U32(unix.NFTA_META_SREG)) == from {
				return true
			}
		case x.Name == "target" && XTName(*x) == "CONNMARK":
			if info := x.Attr(unix.NFTA_TARGET_INFO); len(info) > 12 && info[12] == connmarkRestore {
				return true
			}
		}
	}
	return false
}
