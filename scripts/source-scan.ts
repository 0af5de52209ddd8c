// Reads the imports of a source file, and its code without comments and strings. Pure, without a compiler.

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** `import type`, `export type … from`, `typeof import("…")`: no module is loaded. */
  readonly typeOnly: boolean;
  /** `import("…")` */
  readonly dynamic: boolean;
}

/** A string, or a template with the name before it; `parts` as written, between its `${}`. */
export interface Text {
  readonly tag: string | null;
  readonly parts: readonly string[];
  readonly line: number;
}

/** A literal of a regular expression. */
export interface Pattern {
  readonly source: string;
  readonly flags: string;
  readonly line: number;
}

export interface Scan {
  readonly imports: readonly Import[];
  readonly texts: readonly Text[];
  readonly patterns: readonly Pattern[];
  /** The source with comments and the contents of strings blanked; offsets and lines stay the same. */
  readonly code: string;
}

export function scanSource(source: string): Scan {
  const withoutComments = blank(source, "comments");
  const texts: Text[] = [];
  const patterns: Pattern[] = [];
  const onFound = { text: (text: Text) => texts.push(text), pattern: (one: Pattern) => patterns.push(one) };
  const code = blank(source, "comments and strings", onFound);
  const imports: Import[] = [];
  const lineAt = (offset: number): number => source.slice(0, offset).split("\n").length;
  // Matched in `code`, which has no strings or comments; the specifier is read from the source at the same offset.
  const specifierAt = (quote: number): string => {
    const end = code.indexOf(code.charAt(quote), quote + 1);
    return withoutComments.slice(quote + 1, end);
  };
  for (const match of code.matchAll(
    /\b(import|export)\b(\s+type\b(?!\s*from\b))?([^;"'`()]*?)\bfrom\s*["']/g,
  )) {
    const quote = match.index + match[0].length - 1;
    imports.push({
      specifier: specifierAt(quote),
      line: lineAt(match.index),
      typeOnly: match[2] !== undefined,
      dynamic: false,
    });
  }
  for (const match of code.matchAll(/\bimport\s*["']/g)) {
    const quote = match.index + match[0].length - 1;
    imports.push({
      specifier: specifierAt(quote),
      line: lineAt(match.index),
      typeOnly: false,
      dynamic: false,
    });
  }
  for (const match of code.matchAll(/(\btypeof\s+)?\bimport\s*\(\s*["'`]/g)) {
    const quote = match.index + match[0].length - 1;
    const typeOnly = match[1] !== undefined;
    imports.push({ specifier: specifierAt(quote), line: lineAt(match.index), typeOnly, dynamic: !typeOnly });
  }
  return { imports: imports.sort((a, b) => a.line - b.line), texts, patterns, code };
}

/** A `/` after one of these begins a regular expression; after a name, a number or a bracket it is a division. */
const BEFORE_REGEX =
  /(^|[=(,:;!&|?{}[+\-*%<>~^]|\b(return|typeof|case|in|of|await|yield|void|delete|do|else))\s*$/;

function blank(
  source: string,
  what: "comments" | "comments and strings",
  onFound: { text(text: Text): void; pattern(pattern: Pattern): void } = { text() {}, pattern() {} },
): string {
  let out = "";
  let at = 0;
  const keepStrings = what === "comments";
  const hide = (text: string): string => text.replace(/[^\n]/g, " ");
  const braces: ("code" | "template")[] = [];
  const open: (Text & { readonly parts: string[] })[] = [];
  const take = (end: number, visible: boolean): void => {
    const text = source.slice(at, end);
    out += visible ? text : hide(text);
    at = end;
  };
  const template = (): void => {
    // Up to the closing backtick or the next `${`.
    let end = at;
    while (end < source.length && source[end] !== "`" && !(source[end] === "$" && source[end + 1] === "{")) {
      end += source[end] === "\\" ? 2 : 1;
    }
    open.at(-1)?.parts.push(source.slice(at, end));
    take(Math.min(end, source.length), keepStrings);
    if (source[at] === "`") {
      take(at + 1, true);
      const whole = open.pop();
      if (whole !== undefined) onFound.text(whole);
    } else if (at < source.length) {
      take(at + 2, true);
      braces.push("template");
    }
  };
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const one = source.charAt(at);
    if (two === "//") {
      const end = source.indexOf("\n", at);
      take(end === -1 ? source.length : end, false);
    } else if (two === "/*") {
      const end = source.indexOf("*/", at + 2);
      take(end === -1 ? source.length : end + 2, false);
    } else if (one === '"' || one === "'") {
      take(at + 1, true);
      let end = at;
      while (end < source.length && source[end] !== one && source[end] !== "\n")
        end += source[end] === "\\" ? 2 : 1;
      onFound.text({ tag: null, parts: [source.slice(at, end)], line: out.split("\n").length });
      take(Math.min(end, source.length), keepStrings);
      if (at < source.length) take(at + 1, true);
    } else if (one === "`") {
      const tag = /\w+$/.exec(out)?.[0] ?? null;
      open.push({ tag, parts: [], line: out.split("\n").length });
      take(at + 1, true);
      template();
    } else if (one === "{") {
      braces.push("code");
      take(at + 1, true);
    } else if (one === "}") {
      take(at + 1, true);
      if (braces.pop() === "template") template();
    } else if (one === "/" && BEFORE_REGEX.test(out.slice(-12))) {
      let end = at + 1;
      let inClass = false;
      while (end < source.length && source[end] !== "\n" && (inClass || source[end] !== "/")) {
        if (source[end] === "[") inClass = true;
        if (source[end] === "]") inClass = false;
        end += source[end] === "\\" ? 2 : 1;
      }
      const flags = /^[a-z]*/.exec(source.slice(end + 1))?.[0] ?? "";
      onFound.pattern({ source: source.slice(at + 1, end), flags, line: out.split("\n").length });
      take(Math.min(end + 1, source.length), keepStrings);
    } else {
      take(at + 1, true);
    }
  }
  return out;
}
