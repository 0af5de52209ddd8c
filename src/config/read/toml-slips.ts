// Guesses what somebody did where TOML breaks: another format, an open quote or bracket, a path.

/** The text in place of the parser's message; `hint` null: no hint. */
interface Slip {
  readonly found: string;
  readonly expected: string;
  readonly hint: string | null;
}

const CURLY_QUOTES = /[\u2018-\u201f\u00ab\u00bb]/;
const YAML_LINE = /^[ \t]*(?:- +)?[A-Za-z_][\w-]*:(?: |$)/;
const OPEN_HEADER = /^[ \t]*(\[\[?)[^\]"'=]*$/;
const PLAIN_HEADER = /^\[\[?[\w.-]{1,80}\]\]?$/;
const WINDOWS_PATH = /"[A-Za-z]:\\/;
const BEGINS_ANEW = /^\s*(?:$|\[\[?[A-Za-z_]|[A-Za-z_][\w-]*[ \t]*=)/;

/** `found`: what the parser says about `offset`. */
export function slipAt(text: string, offset: number, found: string): Slip | null {
  if (/^\s*\{/.test(text)) {
    const hint = "a client's mcpServers are [backends.NAME] here, each with its command and args";
    return { found: "JSON", expected: "TOML", hint };
  }
  const line = lineAt(text, offset);
  if (CURLY_QUOTES.test(text.charAt(offset)))
    return { found: "a curly quote", expected: 'a straight one: `"`', hint: null };
  if (YAML_LINE.test(line)) {
    const hint = "for YAML, name the file .yaml";
    return { found: "a line of YAML", expected: "`key = value`, or `[section]`", hint };
  }
  const header = OPEN_HEADER.exec(line)?.[1];
  if (header !== undefined) {
    const end = header === "[[" ? "`]]`" : "`]`";
    return { found: "a table's header without its end", expected: end, hint: null };
  }
  if (found === "a control character" && /[\r\n]/.test(text.charAt(offset)))
    return { found: "a string without an end", expected: "the closing quote on the same line", hint: null };
  if (WINDOWS_PATH.test(line)) {
    const hint = "or put a path in single quotes, which need none: 'C:\\Users\\ann'";
    return { found: "a single backslash in a path", expected: "`\\\\` for each backslash", hint };
  }
  if (found.startsWith("something else than the next") && BEGINS_ANEW.test(text.slice(offset)))
    return { found: "an array or table without its end", expected: "`]` or `}` before this", hint: null };
  if (found === "a second definition of it") return secondDefinition(text, offset, line);
  return null;
}

function secondDefinition(text: string, offset: number, line: string): Slip | null {
  const wanted = line.trim();
  if (!PLAIN_HEADER.test(wanted)) return null;
  const lines = text.slice(0, offset).split("\n");
  const first = lines.slice(0, -1).findIndex((each) => each.trim() === wanted);
  if (first === -1) return null;
  const hint = `line ${first + 1} has it already: put both parts together there`;
  return { found: `a second ${wanted}`, expected: "each table once", hint };
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  return text.slice(start, end === -1 ? text.length : end).replace(/\r$/, "");
}
