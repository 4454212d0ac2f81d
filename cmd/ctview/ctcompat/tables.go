package ctcompat

// An opCode is a command on a table, in conntrack's own numbering: the index into the legality tables.
type opCode int

// The commands; op+ is on flows, exp+ on expectations.
const (
	opList opCode = iota
	opCreate
	opUpdate
	opDelete
	opGet
	opFlush
	opEvent
	opVersion
	opHelp
	expList
	expCreate
	expDelete
	expGet
	expFlush
	expEvent
	opCount
	expCount
	opStats
	expStats
	opAdd
	opNone // no command at all: the usage text
)

// An optSet is a set of the general options.
type optSet uint32

// The general options, in the order in which conntrack checks them.
const (
	optSrc optSet = 1 << iota
	optDst
	optReplySrc
	optReplyDst
	optProto
	optTimeout
	optStatus
	optZero
	optEventMask
	optTupleSrc
	optTupleDst
	optMaskSrc
	optMaskDst
	optNATRange
	optMark
	optID
	optFamily
	optSrcNAT
	optDstNAT
	optOutput
	optSecmark
	optBufferSize
	optAnyNAT
	optZone
	optLabel
	optLabelAdd
	optLabelDel
	optOrigZone
	optReplyZone

	optOrig  = optSrc | optDst
	optReply = optReplySrc | optReplyDst

	// optComparison are the options that make -L, -D, -G and -E compare a flow with the template.
	optComparison = optProto | optOrig | optReply | optMark | optSecmark | optStatus | optID | optZone | optLabel |
		optOrigZone | optReplyZone
)

// has reports whether any option of x is in s.
func (s optSet) has(x optSet) bool { return s&x != 0 }

// optNames are the names that error texts use, by bit.
var optNames = []string{"src", "dst", "reply-src", "reply-dst", "protonum", "timeout", "status", "zero", "event-mask",
	"tuple-src", "tuple-dst", "mask-src", "mask-dst", "nat-range", "mark", "id", "family", "src-nat", "dst-nat", "output",
	"secmark", "buffer-size", "any-nat", "zone", "label", "label-add", "label-del", "orig-zone", "reply-zone"}

// Legality marks: '.' illegal, '!' compulsory, 'o' optional, '?' one of the pairs of the command must be complete.
//
// generalLegal has a mark per general option, in the order of optNames.
var generalLegal = [opNone + 1]string{
	//           s d r q p t u z e [ ] { } a m i f n g o c b j w l < > ( )
	opList:    "ooooo.oo...oo.o.ooooo.ooo..oo",
	opCreate:  "????!!o......oo..oo....o.o.oo",
	opUpdate:  "ooooooo....oo.oooooo...oooooo", // conntrack: no zones, so that flows in one cannot be changed
	opDelete:  "ooooooo....oo.oooooo...oo..oo",
	opGet:     "????!..........o...o...oo..oo", // conntrack: no zones
	opFlush:   "................o............",
	opEvent:   "ooooo...o..oo.o.ooooooooo..oo",
	opVersion: ".............................",
	opHelp:    "....o........................",
	expList:   "................o..o.........",
	expCreate: "!!oo!!o..!!!!................",
	expDelete: "!!oo!........................",
	expGet:    "!!oo!........................",
	expFlush:  ".............................",
	expEvent:  "...................o.........",
	opCount:   ".............................",
	expCount:  ".............................",
	opStats:   ".............................",
	expStats:  ".............................",
	opAdd:     "????!!o......oo..oo....o.o.oo",
	opNone:    ".............................",
}

// shortOptions are the letters; conntrack gives letters to some options that it documents in long form only.
var shortOptions = map[byte]argKind{
	'L': argOptional, 'I': argOptional, 'U': argOptional, 'D': argOptional, 'G': argOptional, 'E': argOptional,
	'F': argOptional, 'A': argOptional, 'C': argOptional, 'h': argNone, 'V': argNone, 'S': argNone, 'z': argNone,
	's': argRequired, 'd': argRequired, 'r': argRequired, 'q': argRequired, 'p': argRequired, 't': argRequired,
	'u': argRequired, 'e': argRequired, 'a': argRequired, '[': argRequired, ']': argRequired, '{': argRequired,
	'}': argRequired, 'm': argRequired, 'i': argRequired, 'f': argRequired, 'o': argRequired, 'c': argRequired,
	'b': argRequired, 'w': argRequired, 'l': argRequired, '<': argRequired, '(': argRequired, ')': argRequired,
	'n': argOptional, 'g': argOptional, 'j': argOptional, '>': argOptional,
}

// longOptions is the table that a command line starts with; -p appends a protocol's own.
var longOptions = []longOption{
	{"dump", argOptional, 'L'}, {"create", argOptional, 'I'}, {"add", argOptional, 'A'}, {"delete", argOptional, 'D'},
	{"update", argOptional, 'U'}, {"get", argOptional, 'G'}, {"flush", argOptional, 'F'}, {"event", argOptional, 'E'},
	{"counter", argOptional, 'C'}, {"stats", argNone, 'S'}, {"version", argNone, 'V'}, {"help", argNone, 'h'},
	{"orig-src", argRequired, 's'}, {"src", argRequired, 's'}, {"orig-dst", argRequired, 'd'}, {"dst", argRequired, 'd'},
	{"reply-src", argRequired, 'r'}, {"reply-dst", argRequired, 'q'}, {"protonum", argRequired, 'p'},
	{"timeout", argRequired, 't'}, {"status", argRequired, 'u'}, {"zero", argNone, 'z'}, {"event-mask", argRequired, 'e'},
	{"tuple-src", argRequired, '['}, {"tuple-dst", argRequired, ']'}, {"mask-src", argRequired, '{'},
	{"mask-dst", argRequired, '}'}, {"nat-range", argRequired, 'a'}, {"mark", argRequired, 'm'},
	{"secmark", argRequired, 'c'}, {"id", argRequired, 'i'}, {"family", argRequired, 'f'}, {"src-nat", argOptional, 'n'},
	{"dst-nat", argOptional, 'g'}, {"output", argRequired, 'o'}, {"buffer-size", argRequired, 'b'},
	{"any-nat", argOptional, 'j'}, {"zone", argRequired, 'w'}, {"label", argRequired, 'l'},
	{"label-add", argRequired, '<'}, {"label-del", argOptional, '>'}, {"orig-zone", argRequired, '('},
	{"reply-zone", argRequired, ')'},
}

// exactOptions are ctview's own, which -o save needs to be complete. They cannot be abbreviated, so that no abbreviation
// of conntrack's options changes its meaning.
var exactOptions = []longOption{{"helper", argRequired, optHelper}}

// optHelper is the value of --helper; no letter and no option of a protocol has it.
const optHelper = 0x7f

// longName returns the name that error texts use for a letter: the first in the table.
func longName(letter int) string {
	for _, o := range longOptions {
		if o.val == letter {
			return o.name
		}
	}
	return "unknown"
}

// opsOf are the commands that a letter stands for on flows and on expectations; opNone where there is none.
var opsOf = map[int][2]opCode{
	'L': {opList, expList}, 'I': {opCreate, expCreate}, 'D': {opDelete, expDelete}, 'G': {opGet, expGet},
	'F': {opFlush, expFlush}, 'E': {opEvent, expEvent}, 'V': {opVersion, opVersion}, 'h': {opHelp, opHelp},
	'C': {opCount, expCount}, 'S': {opStats, expStats}, 'U': {opUpdate, opNone}, 'A': {opAdd, opNone},
}

// summaries are the lines that end a command on stderr, after the prefix; %d is the number of entries. -E has its own.
var summaries = map[opCode]string{
	opList:    "%d flow entries have been shown.\n",
	opCreate:  "%d flow entries have been created.\n",
	opUpdate:  "%d flow entries have been updated.\n",
	opDelete:  "%d flow entries have been deleted.\n",
	opGet:     "%d flow entries have been shown.\n",
	expList:   "%d expectations have been shown.\n",
	expDelete: "%d expectations have been shown.\n",
	opAdd:     "%d flow entries have been added.\n",
}
