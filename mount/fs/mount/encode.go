package mount

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a server cannot have in a name is replaced by characters that look alike, as rclone does, which shares these files. One of those in a
// name here gets a quotation mark before it, so that each name here is one name there, and the other way round.
const quote = '‛'

// substitutes of what no name on a server has. NUL and / are in no name here either, and their substitutes stay as they are.
var (
	substitutes = map[rune]rune{'<': '＜', '>': '＞', '"': '＂', ':': '：', '?': '？', '*': '＊', '|': '｜', '\\': '＼'}
	meanings    = map[rune]rune{}
	// At the end of a name only.
	endSubstitutes = map[rune]rune{' ': '␠', '.': '．'}
	endMeanings    = map[rune]rune{'␠': ' ', '．': '.'}
)

func init() {
	for control := rune(1); control < ' '; control++ {
		substitutes[control] = '␀' + control
	}
	for meant, substitute := range substitutes {
		meanings[substitute] = meant
	}
}

// quotedName is a name that is being written, with the quotes that were read last and are not written yet.
type quotedName struct {
	strings.Builder
	quotes int
}

// flush writes n quotes in place of those that were read.
func (q *quotedName) flush(n int) {
	for ; n > 0; n-- {
		q.WriteRune(quote)
	}
	q.quotes = 0
}

// encode writes a name as the server has it.
func encode(name string) string {
	if isPlain(name) {
		return name
	}
	var out quotedName
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		rest := name[i+length:]
		meant, isMeaning := substituteOf(r, rest == "")
		switch {
		case r == quote:
			out.quotes++
		case r == utf8.RuneError && length == 1:
			out.flush(2*out.quotes + 1)
			out.WriteString(strings.ToUpper(strconv.FormatUint(uint64(name[i]), 16)))
		case isMeaning:
			out.flush(2 * out.quotes)
			out.WriteRune(meant)
		case isSubstitute(r, rest == ""):
			out.flush(2*out.quotes + 1)
			out.WriteRune(r)
		case isByte(name[i:]):
			out.flush(2 * out.quotes)
			out.WriteRune(r)
		default:
			out.flush(out.quotes)
			out.WriteRune(r)
		}
		i += length
	}
	out.flush(out.quotes)
	return out.String()
}

// decode is the reverse of encode.
func decode(name string) string {
	if isPlain(name) {
		return name
	}
	var out quotedName
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		isLast := i+length == len(name)
		isQuoted := out.quotes%2 == 1
		switch {
		case r == quote:
			out.quotes++
		case isSubstitute(r, isLast):
			out.flush(out.quotes / 2)
			if !isQuoted {
				r = meaningOf(r, isLast)
			}
			out.WriteRune(r)
		case isByte(name[i:]) && out.quotes > 0:
			out.flush(out.quotes / 2)
			if isQuoted {
				value, _ := strconv.ParseUint(name[i:i+2], 16, 8)
				out.WriteByte(byte(value))
				length = 2
			} else {
				out.WriteRune(r)
			}
		default:
			out.flush(out.quotes)
			out.WriteRune(r)
		}
		i += length
	}
	out.flush(out.quotes)
	return out.String()
}

// isPlain: nothing in it is replaced, whichever way.
func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= utf8.RuneSelf || strings.IndexByte(`<>":?*|\`, c) >= 0 {
			return false
		}
	}
	return !strings.HasSuffix(name, " ") && !strings.HasSuffix(name, ".")
}

func substituteOf(r rune, isLast bool) (substitute rune, ok bool) {
	if substitute, ok = substitutes[r]; !ok && isLast {
		substitute, ok = endSubstitutes[r]
	}
	return substitute, ok
}

func meaningOf(r rune, isLast bool) rune {
	if meant, ok := meanings[r]; ok {
		return meant
	}
	return endMeanings[r]
}

func isSubstitute(r rune, isLast bool) bool {
	_, ok := meanings[r]
	if !ok && isLast {
		_, ok = endMeanings[r]
	}
	return ok
}

// isByte: it begins as a quoted byte that is no text.
func isByte(text string) bool {
	const hex = "0123456789ABCDEF"
	return len(text) >= 2 && strings.IndexByte(hex[8:], text[0]) >= 0 && strings.IndexByte(hex, text[1]) >= 0
}
