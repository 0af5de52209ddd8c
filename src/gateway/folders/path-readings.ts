// The paths that a text in a call's arguments may mean to some server. Pure.

import { posix } from "node:path";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { unescaped } from "../catalog/uri-template.ts";

export interface Reading {
  /** Absolute. May contain `..`, which the kernel resolves after following links. */
  readonly at: string;
  /** The text is a path only if this path exists. null: it certainly is a path. */
  readonly onlyIf: string | null;
}

/** The paths that a text may mean; empty: the text means no path. `unclear`: why the paths cannot be determined. */
export type Readings = readonly Reading[] | { readonly unclear: string };

/** All paths are absolute. */
export interface PathBases {
  readonly cwd: string;
  /** Folders that the server's command names. The server may resolve relative paths there. */
  readonly others: readonly string[];
  readonly userHome: string;
}

/** The kernel's limit. */
const LONGEST_PATH = 4_096;

/** `isNamedPath`: the argument's name says that it is a path. */
export function readingsOf(given: string, bases: PathBases, isNamedPath: boolean): Readings {
  if (given.includes("\0")) return { unclear: "it has a NUL character" };
  // Servers remove edge characters, quotes and redundant slashes, so a path can be padded with these to any length.
  const text =
    given.length > TEXT_BOUNDS.pathText.most ? within(given, isEdgeOrQuote).replace(EMPTY_STEPS, "/") : given;
  if (text.length > TEXT_BOUNDS.pathText.most) {
    // Most long texts are content.
    const mayStepUp = text.includes("..") || text.includes("%");
    if (mayStepUp && STEP_UP_SOMEHOW.test(text))
      return { unclear: "it is too long to be checked, and has `..` in it" };
    const isFileUri = /^file:\S/i.test(fileUriIn(headOf(text)) ?? "");
    return isFileUri ? { unclear: "it is too long to be checked, and is a file URI" } : [];
  }
  const readings = new Map<string, Reading>();
  for (const form of formsOf(text)) {
    const found = readForm(form, bases, isNamedPath);
    if ("unclear" in found) return found;
    for (const one of found) {
      if (one.at.length > LONGEST_PATH) {
        if (one.onlyIf !== null || hasStepUp(one.at)) continue;
        return { unclear: "it is longer than any path" };
      }
      readings.set(`${one.onlyIf ?? ""}\0${one.at}`, one);
    }
  }
  return [...readings.values()];
}

/** Leaves out characters that URL parsers remove. */
function headOf(text: string): string {
  let head = "";
  for (let at = 0; at < text.length && head.length < 200; at++)
    if (!"\t\n\r".includes(text.charAt(at))) head += text.charAt(at);
  return head;
}

/** Redundant slashes and dots, also escaped. */
const EMPTY_STEPS = /(?:\/|%(?:25)?2f)(?:(?:\.|%(?:25)?2e)?(?:\/|%(?:25)?2f))+/gi;
const STEP_UP_SOMEHOW = /(?:^|\/|%(?:25)?2f)(?:\.|%(?:25)?2e){2}(?:\/|%(?:25)?2f|$)/i;

/** Servers may trim quotes and spaces, change the Unicode form, and unescape once or twice. */
function formsOf(text: string): ReadonlySet<string> {
  const forms = new Set([text, within(text, isEdge), within(text, isEdgeOrQuote)]);
  for (const form of [...forms]) forms.add(form.normalize("NFKC")).add(form.normalize("NFD"));
  for (const form of [...forms]) {
    const once = unescaped(form);
    forms.add(once).add(unescaped(once));
  }
  return forms;
}

/**
 * Removes the characters at both ends for which `isAround` is true. A regular expression for the end would take
 * quadratic time.
 */
function within(text: string, isAround: (code: number) => boolean): string {
  let [start, end] = [0, text.length];
  while (start < end && isAround(text.charCodeAt(start))) start++;
  while (end > start && isAround(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** URL parsers remove all of these characters, Python's `strip` some. */
function isEdge(code: number): boolean {
  if (code <= 0xa0) return code <= 0x20 || code >= 0x7f;
  return code > 0xff && /\s/.test(String.fromCharCode(code));
}

function isEdgeOrQuote(code: number): boolean {
  return isEdge(code) || code === QUOTES.double || code === QUOTES.single || code === QUOTES.back;
}

const QUOTES = { double: 0x22, single: 0x27, back: 0x60 };

function readForm(form: string, bases: PathBases, isNamedPath: boolean): Readings {
  if (form.includes("\0")) return { unclear: "it has a NUL character" };
  const fileUri = fileUriIn(form);
  if (fileUri !== null) return ofFileUri(fileUri, bases);
  const { userHome } = bases;
  const home = /^(?:~|\$HOME|\$\{HOME\})(?=[/\\]|$)/.exec(form)?.[0];
  if (home !== undefined) {
    const path = `${userHome}${form.slice(home.length).replaceAll("\\", "/")}`;
    return hasLines(form) ? unlikely(userHome, path) : certain(path);
  }
  const isLine = !hasLines(form) || hasStepUp(form);
  if (isLine && /^~[A-Za-z_][^\s/]*(?:\/|$)/.test(form))
    return { unclear: "it names another user's home folder" };
  if (isLine && /^\$\{?[A-Za-z_]\w*\}?\//.test(form)) return { unclear: "it begins with a variable" };
  if (/[{}]/.test(form) && /(?:^|[/\\{,])\.\.(?:$|[/\\},])/.test(form) && /[/\\]/.test(form))
    return { unclear: "it has `..` between braces" };
  const slashed = form.replaceAll("\\", "/");
  return [
    ...(form.startsWith("/") ? ofAbsolute(form) : ofRelative(form, bases, isNamedPath)),
    ...(slashed === form ? [] : ofBackslashes(slashed, bases)),
  ];
}

/** Leaves out prefixes (`view-source:`, `git+`, `<URL:`) and characters that URL parsers remove. */
function fileUriIn(text: string): string | null {
  const plain = within(text.replace(/[\t\n\r]/g, ""), isEdge);
  const uri = plain.replace(/^<?(?:[a-z][\w.-]*[+:])*(?=file:\/)/i, "");
  return /^file:/i.test(uri) ? uri : null;
}

function ofFileUri(uri: string, bases: PathBases): Readings {
  if (!URL.canParse(uri)) return { unclear: "it is not a valid file URI" };
  const { hostname, pathname } = new URL(uri);
  // `URL` leaves out `localhost`.
  if (hostname !== "") return { unclear: "its file URI names a host" };
  const paths = [pathname, unescaped(pathname), unescaped(unescaped(pathname))];
  // Some servers only cut off the scheme, and take `?` and `#` as part of the path.
  const rest = uri.replace(/^file:(?:\/\/(?:localhost(?=\/))?)?/i, "");
  const found: Reading[] = paths.flatMap(certain);
  for (const raw of [rest, unescaped(rest)]) {
    const more = readForm(raw, bases, true);
    if ("unclear" in more) return more;
    found.push(...more);
  }
  return found.some(({ at }) => at.includes("\0")) ? { unclear: "it has a NUL character" } : found;
}

/** Some servers resolve `..` in the text, before they follow links. */
function spellings(path: string): readonly string[] {
  const normal = posix.normalize(path);
  return hasStepUp(path) ? [path, normal] : [normal];
}

function certain(path: string): readonly Reading[] {
  return spellings(path).map((at) => ({ at, onlyIf: null }));
}

/**
 * The text has several lines or looks like a program's comment. It is a path only if the path or its parent
 * folder exists.
 */
function unlikely(base: string, path: string): readonly Reading[] {
  return spellings(path).map((at) => {
    const above = posix.dirname(at);
    return { at, onlyIf: above === base ? at : above };
  });
}

function ofAbsolute(form: string): readonly Reading[] {
  const isProse = hasLines(form) || /^\/[/*]+[\s!]/.test(form);
  return isProse ? unlikely("/", form) : certain(form);
}

/**
 * `./`, `..` or the argument's name mark a path. Any other text is a path if its first segment exists in a base
 * folder, or its first two exist below `/`, because some servers prepend a slash.
 */
function ofRelative(form: string, { cwd, others }: PathBases, isNamedPath: boolean): readonly Reading[] {
  const bases = [cwd, ...others];
  if (hasLines(form)) return bases.flatMap((base) => unlikely(base, `${base}/${form}`));
  const normal = posix.normalize(form);
  const [first = "", second] = normal.split("/");
  const isUpward = first === "..";
  const isUrl = /^[A-Za-z][A-Za-z\d+.-]+:\/\//.test(form);
  const namesPath = isNamedPath || form === "" || /^\.(?:\/|$)/.test(form) || hasStepUp(form);
  const isPath = isUpward || (namesPath && !isUrl);
  const fromRoot = { at: `/${normal}`, onlyIf: `/${first}/${second}` };
  return [
    ...bases.flatMap((base) => {
      // `/.` exists only below a folder, and other bases than `cwd` may be files.
      const folder = base === cwd ? null : `${base}/.`;
      const onlyIf = isPath ? folder : `${base}/${first}`;
      return spellings(`${base}/${form}`).map((at) => ({ at, onlyIf }));
    }),
    ...(isUpward || second === undefined || second === "" ? [] : [fromRoot]),
  ];
}

/**
 * Backslashes are common in regular expressions, so a text with them counts as a path only if the beginning of the
 * path exists.
 */
function ofBackslashes(slashed: string, bases: PathBases): readonly Reading[] {
  if (!slashed.startsWith("/")) return ofRelative(slashed, bases, false);
  const normal = posix.normalize(slashed);
  const [, first, second] = normal.split("/");
  if (first === undefined || first === "") return [];
  const onlyIf = second === undefined || second === "" ? `/${first}` : `/${first}/${second}`;
  return spellings(slashed).map((at) => ({ at, onlyIf: hasStepUp(slashed) ? null : onlyIf }));
}

function hasStepUp(path: string): boolean {
  return /(?:^|\/)\.\.(?:\/|$)/.test(path);
}

function hasLines(text: string): boolean {
  return /[\n\r]/.test(text.trim());
}
