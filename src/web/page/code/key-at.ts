// Finds the key of the configuration at a place in its text. Made for hints while typing: half-written text is the usual
// case, which a parser would refuse. Pure.

/** Keys from the root; an item of a list is `[]`. Empty if the place has no key. */
export type KeyPath = readonly string[];

const HEADER = /^\s*(\[\[?)\s*([^\]]*?)\s*\]?\]?\s*(?:#.*)?$/;
const TOML_KEY = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*(?:=|$)/;
const YAML_KEY = /^(\s*)((?:-\s+)*)(?:([\w-]+|"[^"]*"|'[^']*')\s*(:|$))?/;

/** `offset`: the cursor's position, in UTF-16 units. */
export function keyAt(text: string, offset: number, format: "toml" | "yaml"): KeyPath {
  const lineEnd = text.indexOf("\n", offset);
  const lines = text.slice(0, lineEnd === -1 ? text.length : lineEnd).split("\n");
  return format === "toml" ? tomlKey(lines) : yamlKey(lines);
}

function tomlKey(lines: readonly string[]): KeyPath {
  const last = lines.length - 1;
  let table: KeyPath = [];
  let tableLine = -1;
  for (let at = last; at >= 0; at -= 1) {
    const header = HEADER.exec(lines[at] ?? "");
    if (header === null) continue;
    const keys = parts(header[2] ?? "");
    table = header[1] === "[[" ? [...keys, "[]"] : tableInList(keys, lines.slice(0, at));
    tableLine = at;
    break;
  }
  if (tableLine === last) return table;
  // A value may span several lines; its key is on the nearest line above.
  for (let at = last; at > tableLine; at -= 1) {
    const key = TOML_KEY.exec(lines[at] ?? "")?.[1];
    if (key !== undefined) return [...table, ...parts(key)];
    if ((lines[at] ?? "").trim() === "") break;
  }
  return table;
}

/** `[shares.x]` below `[[shares]]` belongs to the last item of the list. */
function tableInList(keys: KeyPath, above: readonly string[]): KeyPath {
  const [first = "", ...rest] = keys;
  const isList = above.some((line) => {
    const header = HEADER.exec(line);
    return header?.[1] === "[[" && parts(header[2] ?? "").join(".") === first;
  });
  return isList && rest.length > 0 ? [first, "[]", ...rest] : keys;
}

function yamlKey(lines: readonly string[]): KeyPath {
  const path: string[] = [];
  let deeperThan = Number.POSITIVE_INFINITY;
  // Column of the list item that was found last. Lines of its siblings also begin in this column, and are skipped.
  let listColumn = Number.POSITIVE_INFINITY;
  for (let at = lines.length - 1; at >= 0 && deeperThan > 0; at -= 1) {
    const line = lines[at] ?? "";
    if (/^\s*(#.*)?$/.test(line)) continue;
    const [, indent = "", dashes = "", keyText, colon] = YAML_KEY.exec(line) ?? [];
    // A word without a colon is a half-written key, or after dashes an item of a list.
    const key = dashes === "" || colon === ":" ? keyText : undefined;
    const column = indent.length + dashes.length;
    if (key === undefined && dashes === "") continue;
    if (column < deeperThan) {
      if (key !== undefined) path.unshift(...parts(key));
      deeperThan = column;
    }
    if (dashes !== "" && indent.length < Math.min(deeperThan, listColumn)) {
      path.unshift("[]");
      listColumn = indent.length;
      deeperThan = indent.length + 1;
    }
  }
  return path;
}

function parts(key: string): string[] {
  return [...key.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );
}
