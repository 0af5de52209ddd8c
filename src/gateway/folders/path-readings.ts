// What a text of a call's arguments names in the file system, in every way in which servers read texts as paths. Pure.
import { posix } from "node:path";

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
/** Of a longer text only the plain forms are looked at: it is the content of a file. */
const LONGEST_FORM = 64 * 1024;

/** `isNamedPath`: what the argument is called says that it is one. */
export function readingsOf(text: string, bases: PathBases, isNamedPath: boolean): Readings {
  if (text.includes("\0")) return { unclear: "it has a NUL character" };
  const readings = new Map<string, Reading>();
  for (const form of formsOf(text)) {
    const found = readForm(form, bases, isNamedPath);
    if ("unclear" in found) return found;
    for (const one of found) {
      // Nothing so long is opened; what is meant as a path and is none is for the prober to say.
      if (one.at.length > LONGEST_PATH && one.onlyIf !== null) continue;
      readings.set(`${one.onlyIf ?? ""}\0${one.at}`, one);
    }
  }
  return [...readings.values()];
}

/**
 * As it is, without spaces and quotes around it, and as servers may decode it: compatible letters, escapes (twice), and `\`
 * for `/`.
 */
function formsOf(text: string): ReadonlySet<string> {
  const plain = text.trim().replace(/^["'`]+|["'`]+$/g, "");
  const forms = new Set([text, text.trim(), plain]);
  if (text.length > LONGEST_FORM) return forms;
  for (const form of [...forms]) forms.add(form.normalize("NFKC"));
  for (const form of [...forms]) {
    const once = unescaped(form);
    forms.add(once).add(unescaped(once));
  }
  return forms;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    // Not all of it is UTF-8: what is ASCII is still meant.
    return text.replace(/%([0-7][\dA-Fa-f])/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}

function readForm(form: string, bases: PathBases, isNamedPath: boolean): Readings {
  if (form.includes("\0")) return { unclear: "it has a NUL character" };
  // URL parsers leave these out.
  const compact = form.replace(/[\t\n\r]/g, "");
  if (/^\s*file:/i.test(compact)) return ofFileUri(compact.trim(), bases);
  const { userHome } = bases;
  const home = /^(?:~|\$HOME|\$\{HOME\})(?=\/|$)/.exec(form)?.[0];
  if (home !== undefined) {
    const path = `${userHome}${form.slice(home.length)}`;
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
  const isProse = hasLines(form) || /^\/[/*]+\s/.test(form);
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
