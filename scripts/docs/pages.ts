// Faults in the written pages: rows with a cell too many or too few, and links that lead nowhere.
import path from "node:path";

/**
 * `FILE:LINE: what is wrong`, for each. `pages`: the text of each page by its path from the root. `exists`: whether a file or
 * folder of the repository is there.
 */
export function faultsOf(
  pages: ReadonlyMap<string, string>,
  exists: (file: string) => boolean,
): readonly string[] {
  const anchors = new Map([...pages].map(([file, text]) => [file, anchorsOf(linesOf(text))]));
  return [...pages].flatMap(([file, text]) => {
    const lines = linesOf(text);
    return [
      ...unevenRows(lines),
      ...lines.flatMap(({ text: line, number }) => {
        const dead = linksIn(line).filter((target) => !leadsSomewhere(file, target, anchors, exists));
        return dead.map((target) => ({ number, what: `the link ${target} leads nowhere` }));
      }),
    ].map(({ number, what }) => `${file}:${number}: ${what}`);
  });
}

interface Line {
  readonly number: number;
  readonly text: string;
}

/** Without blocks of code. */
function linesOf(text: string): readonly Line[] {
  let isCode = false;
  return text.split("\n").flatMap((line, index) => {
    const isFence = /^\s*(?:>\s*)?```/.test(line);
    if (isFence) isCode = !isCode;
    return isCode || isFence ? [] : [{ number: index + 1, text: line }];
  });
}

/** A reader shows only as many cells as the table's first row has. */
function unevenRows(lines: readonly Line[]): { number: number; what: string }[] {
  let columns = 0;
  return lines.flatMap(({ text, number }) => {
    if (!text.startsWith("|")) {
      columns = 0;
      return [];
    }
    const cells = text
      .replace(/`[^`]*`/g, (code) => code.replaceAll("\\|", ""))
      .replaceAll("\\|", "")
      .trim()
      .replace(/^\||\|$/g, "")
      .split("|").length;
    if (columns === 0) columns = cells;
    return cells === columns
      ? []
      : [{ number, what: `the row has ${cells} cells, and its table ${columns}` }];
  });
}

function linksIn(line: string): string[] {
  return [...line.replace(/`[^`]*`/g, "").matchAll(/\]\(([^()\s]+)(?: "[^"]*")?\)/g)].map(
    ([, target = ""]) => target,
  );
}

function leadsSomewhere(
  file: string,
  target: string,
  anchors: ReadonlyMap<string, ReadonlySet<string>>,
  exists: (file: string) => boolean,
): boolean {
  if (/^[a-z]+:/.test(target)) return true;
  const [to = "", anchor] = target.split("#");
  const page = to === "" ? file : path.posix.join(path.posix.dirname(file), to);
  if (!exists(page)) return false;
  return anchor === undefined || anchors.get(page)?.has(anchor) !== false;
}

/** As GitHub makes them of headings. */
function anchorsOf(lines: readonly Line[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { text } of lines) {
    const heading = /^#+ (.+)$/.exec(text)?.[1];
    if (heading === undefined) continue;
    const anchor = heading
      .replace(/\]\([^)]*\)/g, "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let name = anchor;
    for (let again = 1; found.has(name); again++) name = `${anchor}-${again}`;
    found.add(name);
  }
  return found;
}
