package mount

import (
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"mountaineer/mount/fs/identity"
)

// nameMapping maps names of programs to names on the server, which does not allow all characters. The mapping is one-to-one.
type nameMapping identity.NameMapping

// toServer is the name on the server that is shown as name; EINVAL: there is none.
func (m nameMapping) toServer(name string) (string, error) {
	if identity.NameMapping(m) == identity.SfmMapping {
		there := toSfm(name)
		if m.fromServer(there) != name {
			return "", syscall.EINVAL
		}
		return there, nil
	}
	if name == "．" || name == ".．" {
		// A name cannot be "." or "..", so these need no quotation mark.
		return name, nil
	}
	return toRclone(name), nil
}

// fromServer is a server's name as programs see it: unchanged if toServer returns it for no name.
func (m nameMapping) fromServer(name string) string {
	here := name
	if identity.NameMapping(m) != identity.SfmMapping {
		here = fromRclone(name)
	} else if here = fromSfm(name); toSfm(here) != name {
		return name
	}
	if here == "." || here == ".." || strings.ContainsAny(here, "/\x00") {
		return name
	}
	return here
}

// substitutes replace characters that servers forbid: anywhere in a name, or only as its last one.
type substitutes struct {
	anywhere, atEnd map[rune]rune
}

// both returns the substitutes by character, and the reverse; a control character is replaced by control plus its code.
func both(anywhere, atEnd map[rune]rune, control rune) (there, here substitutes) {
	for each := rune(1); each < ' '; each++ {
		anywhere[each] = control + each
	}
	return substitutes{anywhere, atEnd}, substitutes{reversed(anywhere), reversed(atEnd)}
}

func reversed(table map[rune]rune) map[rune]rune {
	back := make(map[rune]rune, len(table))
	for each, substitute := range table {
		back[substitute] = each
	}
	return back
}

func (s substitutes) of(r rune, isLast bool) (substitute rune, ok bool) {
	if substitute, ok = s.anywhere[r]; !ok && isLast {
		substitute, ok = s.atEnd[r]
	}
	return substitute, ok
}

var sfm, meantBySfm = both(
	map[rune]rune{'"': '\uf020', '*': '\uf021', ':': '\uf022', '<': '\uf023', '>': '\uf024', '?': '\uf025', '\\': '\uf026', '|': '\uf027'},
	map[rune]rune{' ': '\uf028', '.': '\uf029'}, privateByte)

// privateByte is added to the code of a control character, and to a byte that is not UTF-8.
const privateByte = '\uf000'

func toSfm(name string) string {
	if isPlain(name) {
		return name
	}
	var out strings.Builder
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && length == 1 {
			r = privateByte + rune(name[i])
		}
		i += length
		if private, ok := sfm.of(r, i == len(name)); ok {
			r = private
		}
		out.WriteRune(r)
	}
	return out.String()
}

func fromSfm(name string) string {
	if isPlain(name) {
		return name
	}
	var out strings.Builder
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		i += length
		meant, ok := meantBySfm.of(r, i == len(name))
		switch {
		case ok:
			out.WriteRune(meant)
		case r >= privateByte+utf8.RuneSelf && r <= privateByte+0xff:
			out.WriteByte(byte(r - privateByte))
		default:
			out.WriteString(name[i-length : i])
		}
	}
	return out.String()
}

// rclone's substitutes look similar. A substitute that is in the name itself gets a quotation mark before it. NUL and / need none, as names of
// programs have neither.
const quote = '‛'

var rclone, meantByRclone = both(
	map[rune]rune{'<': '＜', '>': '＞', '"': '＂', ':': '：', '?': '？', '*': '＊', '|': '｜', '\\': '＼'},
	map[rune]rune{' ': '␠', '.': '．'}, '␀')

// quotedName builds a name; quotes counts quotation marks that were read but not written yet.
type quotedName struct {
	strings.Builder
	quotes int
}

// add writes n quotation marks in place of those, then text.
func (q *quotedName) add(n int, text string) {
	for range n {
		q.WriteRune(quote)
	}
	q.quotes = 0
	q.WriteString(text)
}

// toRclone writes a name with rclone's substitutes.
func toRclone(name string) string {
	if isPlain(name) {
		return name
	}
	var out quotedName
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		rest := name[i+length:]
		substitute, ok := rclone.of(r, rest == "")
		_, isSubstitute := meantByRclone.of(r, rest == "")
		switch {
		case r == quote:
			out.quotes++
		case r == utf8.RuneError && length == 1:
			out.add(2*out.quotes+1, strings.ToUpper(strconv.FormatUint(uint64(name[i]), 16)))
		case ok:
			out.add(2*out.quotes, string(substitute))
		case isSubstitute:
			out.add(2*out.quotes+1, string(r))
		case isByte(name[i:]):
			out.add(2*out.quotes, string(r))
		default:
			out.add(out.quotes, string(r))
		}
		i += length
	}
	out.add(out.quotes, "")
	return out.String()
}

// fromRclone is the reverse of toRclone.
func fromRclone(name string) string {
	if isPlain(name) {
		return name
	}
	var out quotedName
	for i := 0; i < len(name); {
		r, length := utf8.DecodeRuneInString(name[i:])
		isLast := i+length == len(name)
		meant, isSubstitute := meantByRclone.of(r, isLast)
		isQuoted := out.quotes%2 == 1
		text := string(r)
		switch {
		case r == quote:
			out.quotes++
		case isSubstitute:
			if !isQuoted {
				text = string(meant)
			}
			out.add(out.quotes/2, text)
		case isByte(name[i:]) && out.quotes > 0:
			if isQuoted {
				value, _ := strconv.ParseUint(name[i:i+2], 16, 8)
				text, length = string([]byte{byte(value)}), 2
			}
			out.add(out.quotes/2, text)
		default:
			out.add(out.quotes, text)
		}
		i += length
	}
	out.add(out.quotes, "")
	return out.String()
}

// isPlain: neither mapping changes the name.
func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= utf8.RuneSelf || strings.IndexByte(`<>":?*|\`, c) >= 0 {
			return false
		}
	}
	return !strings.HasSuffix(name, " ") && !strings.HasSuffix(name, ".")
}

// isByte: the text begins with a hexadecimal byte that is not ASCII.
func isByte(text string) bool {
	const hex = "0123456789ABCDEF"
	return len(text) >= 2 && strings.IndexByte(hex[8:], text[0]) >= 0 && strings.IndexByte(hex, text[1]) >= 0
}
