// What is wrong in the written pages: rows with a cell too many or too few, links that lead nowhere, and words that only
// we understand.
import path from "node:path";

/** What to write in place of a phrase, which stands in the brackets. */
const ODD_WORDS: Readonly<Record<string, RegExp>> = {
  'everyone who, anyone who ("whoever")': /\bwhoever\b/i,
  'the standard term ("nobody\'s")': /\bnobody's\b/i,
  'fails ("comes to nothing")': /\bcomes? to nothing\b/i,
  'says that ("it is told that")': /\bit is told that\b/i,
  'like ("such as that")': /\bsuch as that\b/i,
  'invalid, or the kind that it is not ("that is none")': /\b(?:that|which|what) (?:is|are) none\b/i,
  'after a crash ("by a mistake")': /\bby a mistake\b/i,
  'is written but untested on real Macs ("waits for its first testers")':
    /\bwaits for its (?:first )?testers\b/i,
  'can exit when a cable is pulled ("may end at a cut")': /\bmay end at a cut\b/i,
  'has expired ("is out of time")': /\bis out of time\b/i,
  'run this again ("say it again")': /\bsay it again\b/i,
  'connect several machines ("that know of each other")': /\b(?:that|machines) know of each other\b/i,
};
/** Words are checked in these alone: a changelog quotes what was. */
const WORDS_OF = /^(?:README|CONTRIBUTING|SECURITY|docs\/[\w-]+|engine\/README)\.md$/;

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
        const odd = WORDS_OF.test(file)
          ? Object.entries(ODD_WORDS).flatMap(([better, word]) => (word.test(line) ? [better] : []))
          : [];
        return [
          ...dead.map((target) => ({ number, what: `the link ${target} leads nowhere` })),
          ...odd.map((better) => ({ number, what: `plainer: ${better}` })),
        ];
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
