package tui

import (
	"fmt"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/table"

	"ctview/tui/draw"
)

// kindWord is what a change is called: in full, or in three letters.
func kindWord(c *table.Change, wide bool) string {
	long, short := "UPDATE", "UPD"
	switch {
	case c.Note == table.NoteLost, c.Note == table.NoteResync:
		return "!!"
	case c.Note == table.NoteExpect:
		long, short = "EXPECT", "EXP"
	case c.Note == table.NoteGone:
		long, short = "GONE", "GON"
	case c.Kind == model.New:
		long, short = "NEW", "NEW"
	case c.Kind == model.Destroy:
		long, short = "DESTROY", "DEL"
	}
	if wide {
		return long
	}
	return short
}

// changeState is the state that a change left the flow in.
func changeState(c *table.Change) string {
	if c.Kind == 0 || c.Note == table.NoteExpect {
		return ""
	}
	return c.Flow.StateText()
}

func changeLook(c *table.Change) draw.Role {
	if c.Kind == 0 || c.Note == table.NoteExpect {
		return draw.Plain
	}
	return draw.StateRole(&c.Flow)
}

// changeNote says what changed, old to new, or what a flow came to that ended.
func changeNote(c *table.Change) string {
	f := &c.Flow
	var out []string
	switch {
	case c.Note == table.NoteLost:
		if c.Lost == 0 {
			return "events lost (socket buffer full)"
		}
		return model.Plural(c.Lost, "event") + " or more lost (socket buffer full)"
	case c.Note == table.NoteResync:
		return fmt.Sprintf("resynced in %.2f s, flows +%d -%d", time.Duration(c.Took).Seconds(), c.Added, c.Removed)
	case c.Note == table.NoteExpect:
		return strings.TrimSpace("helper " + model.Escape(f.Helper.String()))
	case c.Kind == model.Destroy:
		if f.Known&model.KnownCounters != 0 {
			out = append(out, string(model.AppendBytes(nil, f.Bytes[0]+f.Bytes[1])))
		}
		if c.Life > 0 {
			out = append(out, "in "+string(model.AppendAge(nil, time.Duration(c.Life))))
		}
		if c.Note == table.NoteGone {
			out = append(out, "without an event")
		}
	case c.Kind == model.New:
		if f.Status&model.StatusExpected != 0 {
			out = append(out, "expected")
		}
		if f.Helper != 0 {
			out = append(out, "helper "+model.Escape(f.Helper.String()))
		}
	default:
		out = updateNotes(c)
	}
	if c.PortID != 0 {
		out = append(out, fmt.Sprintf("by port id %d", c.PortID))
	}
	return strings.Join(out, " ")
}

// updateNotes tells what an update changed.
func updateNotes(c *table.Change) []string {
	f := &c.Flow
	var out []string
	if c.Changed&table.ChangedState != 0 {
		out = append(out, "was "+c.OldStateText())
	}
	if c.Changed&table.ChangedStatus != 0 {
		for bit, name := range model.StatusNames() {
			m := model.Status(1) << bit
			if m&(model.StatusSrcNATDone|model.StatusDstNATDone|model.StatusConfirmed) != 0 {
				continue
			}
			switch {
			case f.Status&m != 0 && c.OldStatus&m == 0:
				out = append(out, strings.ToLower(name))
			case f.Status&m == 0 && c.OldStatus&m != 0:
				out = append(out, "no longer "+strings.ToLower(name))
			}
		}
	}
	if c.Changed&table.ChangedMark != 0 {
		out = append(out, "mark "+markText(c.OldMark)+" to "+markText(f.Mark))
	}
	if c.Changed&table.ChangedHelper != 0 {
		out = append(out, "helper "+dash(model.Escape(f.Helper.String())))
	}
	if c.Changed&table.ChangedReply != 0 {
		out = append(out, "reply tuple changed")
	}
	if c.Changed&table.ChangedLabels != 0 {
		out = append(out, "labels set")
	}
	return out
}
