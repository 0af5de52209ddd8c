// What a text of a call's arguments names in the file system, in every way in which servers read texts as paths. Pure.
import { posix } from "node:path";
import { unescaped } from "../catalog/uri-template.ts";

/** Where a server would look. */
export interface Reading {
  /** Absolute; `..` may be in it, since the kernel goes up from where a link leads. */
  readonly at: string;
  /** It is a path only if this exists: otherwise it is a word, or prose. null: it is one whatever exists. */
  readonly onlyIf: string | null;
}

/** Either what it may name, or why that cannot be told. Empty: nothing. */
export type Readings = readonly Reading[] | { readonly unclear: string };

/** Where relative paths begin, and what `~` stands for; absolute. */
export interface PathBases {
  readonly cwd: string;
  /** Folders that the server was given: it may look there, too. */
  readonly others: readonly string[];
  readonly userHome: string;
}

/** The kernel opens no longer path. */
const LONGEST_PATH = 4_096;
/** A longer text is the content of a file, and no path however it is decoded. */
const LONGEST_TEXT = 32 * 1024;

/** `isNamedPath`: what the argument is called says that it is one. */
export function readingsOf(given: string, bases: PathBases, isNamedPath: boolean): Readings {
  if (given.includes("\0")) return { unclear: "it has a NUL character" };
  // What servers leave out can make any path as long as one likes.
  const text = given.length > LONGEST_TEXT ? within(given, isEdgeOrQuote).replace(LEFT_OUT, "/") : given;
  if (text.length > LONGEST_TEXT) {
    if (STEP_UP_SOMEHOW.test(text)) return { unclear: "it is too long to be looked at, and has `..` in it" };
    const isFileUri = /^file:\S/i.test(fileUriIn(headOf(text)) ?? "");
    return isFileUri ? { unclear: "it is too long to be looked at, and is a file URI" } : [];
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

/** Its first characters, without those that URL parsers leave out. */
function headOf(text: string): string {
  let head = "";
  for (let at = 0; at < text.length && head.length < 200; at++)
    if (!"\t\n\r".includes(text.charAt(at))) head += text.charAt(at);
  return head;
}

/** Slashes and dots that add nothing to a path, also where they are escaped. */
const LEFT_OUT = /(?:\/|%(?:25)?2f)(?:(?:\.|%(?:25)?2e)?(?:\/|%(?:25)?2f))+/gi;
const STEP_UP_SOMEHOW = /(?:^|\/|%(?:25)?2f)(?:\.|%(?:25)?2e){2}(?:\/|%(?:25)?2f|$)/i;

/**
 * As it is, without spaces and quotes around it, and as servers may decode it: compatible letters, accents apart (some look
 * for a file of either spelling), escapes (twice), and `\` for `/`.
 */
function formsOf(text: string): ReadonlySet<string> {
  const forms = new Set([text, within(text, isEdge), within(text, isEdgeOrQuote)]);
  for (const form of [...forms]) forms.add(form.normalize("NFKC")).add(form.normalize("NFD"));
  for (const form of [...forms]) {
    const once = unescaped(form);
    forms.add(once).add(unescaped(once));
  }
  return forms;
}

/** Without what stands around it. A pattern for the end would look at each run of spaces within. */
function within(text: string, isAround: (code: number) => boolean): string {
  let [start, end] = [0, text.length];
  while (start < end && isAround(text.charCodeAt(start))) start++;
  while (end > start && isAround(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Spaces and control characters: URL parsers leave these out, and Python's `strip` some of them. */
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

/** Without what URL parsers leave out, and what may stand before it (`view-source:`, `git+`, `<URL:`); null: it is none. */
function fileUriIn(text: string): string | null {
  const plain = within(text.replace(/[\t\n\r]/g, ""), isEdge);
  const uri = plain.replace(/^<?(?:[a-z][\w.-]*[+:])*(?=file:\/)/i, "");
  return /^file:/i.test(uri) ? uri : null;
}

function ofFileUri(uri: string, bases: PathBases): Readings {
  if (!URL.canParse(uri)) return { unclear: "it is no valid file URI" };
  const { hostname, pathname } = new URL(uri);
  if (hostname !== "" && hostname !== "localhost") return { unclear: "its file URI names a host" };
  const paths = [pathname, unescaped(pathname), unescaped(unescaped(pathname))];
  // As servers read it that only cut off its beginning, with `?` and `#` for letters.
  const rest = uri.replace(/^file:(?:\/\/(?:localhost(?=\/))?)?/i, "");
  const found: Reading[] = paths.flatMap(certain);
  for (const raw of [rest, unescaped(rest)]) {
    const more = readForm(raw, bases, true);
    if ("unclear" in more) return more;
    found.push(...more);
  }
  return found.some(({ at }) => at.includes("\0")) ? { unclear: "it has a NUL character" } : found;
}

/** As it is written, and as who takes `..` out of the text reads it. */
function spellings(path: string): readonly string[] {
  const normal = posix.normalize(path);
  return hasStepUp(path) ? [path, normal] : [normal];
}

function certain(path: string): readonly Reading[] {
  return spellings(path).map((at) => ({ at, onlyIf: null }));
}

/** Text of several lines, or a comment of a program: only if it is there, or lies in a folder that is. */
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
 * From each folder where the server may look, it is a path if it says so (`./`, `..`, the argument's name), or if what it
 * begins with exists there; from the root, as servers read it that put a slash in front, if its first two parts do.
 */
function ofRelative(form: string, { cwd, others }: PathBases, isNamedPath: boolean): readonly Reading[] {
  const bases = [cwd, ...others];
  if (hasLines(form)) return bases.flatMap((base) => unlikely(base, `${base}/${form}`));
  const normal = posix.normalize(form);
  const [first = "", second] = normal.split("/");
  const isUpward = first === "..";
  const isUrl = /^[A-Za-z][A-Za-z\d+.-]+:\/\//.test(form);
  const saysSo = isNamedPath || form === "" || /^\.(?:\/|$)/.test(form) || hasStepUp(form);
  const isSaid = isUpward || (saysSo && !isUrl);
  const fromRoot = { at: `/${normal}`, onlyIf: `/${first}/${second}` };
  return [
    ...bases.flatMap((base) => {
      // What the server was given besides its own folder may be a file, and then nothing is in it.
      const folder = base === cwd ? null : `${base}/.`;
      const onlyIf = isSaid ? folder : `${base}/${first}`;
      return spellings(`${base}/${form}`).map((at) => ({ at, onlyIf }));
    }),
    ...(isUpward || second === undefined || second === "" ? [] : [fromRoot]),
  ];
}

/** Nobody writes them here but who counts on a server that takes them for slashes; regular expressions are full of them. */
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
