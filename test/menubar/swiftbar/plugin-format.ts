// Reads SwiftBar's published plugin format, written from its documentation and the behaviour of its parser:
// the header is what comes before the first line of `---`, dashes in front make submenus, parameters follow the first
// `|`, values may be quoted by ' or ", and a streamed frame is whatever follows the last `~~~` anywhere.

export type PluginLine = ReturnType<typeof readLine>;

export interface PluginMenu {
  readonly header: readonly PluginLine[];
  readonly body: readonly PluginLine[];
}

/** What is shown after all of that was streamed. */
export function readStream(output: string): PluginMenu {
  return readMenu(output.split("~~~").at(-1) ?? "");
}

export function readMenu(text: string): PluginMenu {
  const lines = text.split("\n").filter((line) => line !== "");
  const end = lines.findIndex((line) => line.startsWith("---"));
  const header = (end < 0 ? lines : lines.slice(0, end)).map(readLine);
  const body: PluginLine[] = [];
  const open: PluginLine[] = [];
  for (const line of end < 0 ? [] : lines.slice(end + 1)) {
    let depth = 0;
    let rest = line;
    while (rest.startsWith("--") && rest !== "---") {
      depth += 1;
      rest = rest.slice(2);
    }
    const read = readLine(rest);
    const siblings = depth === 0 ? body : open[depth - 1]?.children;
    if (siblings === undefined) throw new Error(`a line two levels deeper than the one before: ${line}`);
    siblings.push(read);
    open.length = depth;
    open[depth] = read;
  }
  return { header, body };
}

function readLine(line: string) {
  if (line === "---") return { title: "", params: new Map(), children: [], isSeparator: true };
  const bar = line.indexOf("|");
  const title = bar < 0 ? line : line.slice(0, bar);
  const params = readParams(bar < 0 ? "" : line.slice(bar + 1).trim());
  return { title: title.trim(), params, children: [], isSeparator: false };
}

function readParams(text: string): Map<string, string> {
  const params = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    while (text[at] === " ") at += 1;
    const equals = text.indexOf("=", at);
    if (equals < 0) break;
    const key = text.slice(at, equals).trim().toLowerCase();
    at = equals + 1;
    const mark = text[at];
    if (mark === '"' || mark === "'") {
      const end = text.indexOf(mark, at + 1);
      if (end < 0) throw new Error(`a quote that is not closed: ${text}`);
      params.set(key, text.slice(at + 1, end));
      at = end + 1;
    } else {
      const end = text.indexOf(" ", at);
      params.set(key, text.slice(at, end < 0 ? undefined : end));
      at = end < 0 ? text.length : end;
    }
  }
  return params;
}

/** What a click runs: the file and its arguments; null: nothing. */
export function clickOf({ params }: PluginLine): readonly string[] | null {
  const file = params.get("bash");
  if (file === undefined) return null;
  const words = [...params.keys()]
    .filter((key) => /^param\d+$/.test(key))
    .sort((one, other) => Number(one.slice(5)) - Number(other.slice(5)))
    .map((key) => params.get(key) ?? "");
  return [file, ...words];
}

/** Every line, those of submenus too. */
export function everyLine(lines: readonly PluginLine[]): PluginLine[] {
  return lines.flatMap((line) => [line, ...everyLine(line.children)]);
}
