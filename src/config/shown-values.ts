// Hides possible secrets in a program's arguments, in an address and in other texts of the configuration. Pure.

import { isHostAsWritten } from "./values/address.ts";
import { parseSecretText, type SecretText, storedParts } from "./values/secret-text.ts";

/**
 * `log` shows all but possible secrets, because its reader must know what ran. `report` is for other people,
 * and shows only values known to be harmless.
 */
export type Audience = "log" | "report";

export function isAddress(value: unknown): value is string {
  return typeof value === "string" && /^[a-z][\w+.-]*:\/\//i.test(value);
}

export const HIDDEN = "(hidden)";

/** Names of options, variables, headers and query keys that most likely hold a secret. */
const SECRET_NAME =
  /api[-_]?key|(?:^|[-_])key$|token|secret|passw|passphrase|pwd|(?:^|[-_])pass$|credential|signature|authorization|(?:^|[-_])auth$|bearer|cookie|session[-_]?id|(?:^|[-_])(?:pat|pin|sig|dsn|jwt)$|connection[-_]?string|private|webhook/i;
/** Matches the beginnings of tokens of well-known services, and of JSON web tokens. */
const TOKEN_PREFIX =
  /^(?:sk|pk|rk)[-_](?=.{6})|^gh[opsur]_|^github_pat_|^gl[a-z]{2,4}-|^xox[a-z]-|^xapp-|^AKIA|^ASIA|^AIza|^ya29\.|^eyJ|^npm_|^hf_|^pypi-|^dop_v1_|^shp[a-z]{2}_|^SG\.|^whsec_|^lin_api_|^ntn_|^secret_|^figd_|^ATATT|^tvly-|^pplx-|^gsk_|^nvapi-|^dckr_pat_/;
/** A word of a text; other characters separate words. */
const WORD = /[A-Za-z0-9_+~%!*^$.\-\u00a1-\uffff]+/g;
/** Programs whose first argument is a package to run. */
const RUNNERS = /^(?:npx|pnpx|bunx|uvx|pipx|x)$/;
const PACKAGE = /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(?:@[\w.^~-]+)?$/i;
/** An absolute path to a file with an extension, as a word of its own. */
const FILE_PATH =
  /(?<![^\s"'`=:,;|&<(])\/(?:[\w@.+~-]+\/)*[\w@+~-][\w@.+~-]*\.[A-Za-z]\w{0,7}(?![^\s"'`:,;|&>)])/g;
/** The name that Nix or uv gives to a folder of its store, up to where the name of what is in it begins. */
const STORE_FOLDER = /\/nix\/store\/[0-9a-z]{32}(?=-)|\/archive-v\d+\/[\w-]{20,22}(?=\/)/g;
/** A digest in the name of a built folder or file: `35010a7b583850f6`, `main-35010a7b583850f6.js`. */
const DIGEST = /^[0-9a-f]{16,64}$/;
const PLAIN_WORDS =
  /^(?:true|false|yes|no|on|off|all|none|auto|stdio|http|https|sse|debug|info|warn|warning|error)$/i;

/** What stands before a reference in the user or password of an address. */
const USER_BEFORE_REFERENCE =
  /(?<![\w+.-])([a-z][\w+.-]*:\/\/)[^\s/?#\\@]+?(?=\$\{secret:[^\s/?#\\]{0,500}@)/gi;

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** The arguments with possible secrets replaced by `(hidden)`. */
export function shownArguments(
  command: string,
  args: readonly string[],
  audience: Audience,
): readonly string[] {
  const shown: string[] = [];
  let isAwaited = false;
  let packageAt = RUNNERS.test(baseName(command)) ? firstOperand(args) : -1;
  if (packageAt === -1 && args[0] === "dlx") packageAt = 1;
  for (const [index, argument] of args.entries()) {
    const isOption = /^--?[A-Za-z]/.test(argument);
    const equals = argument.indexOf("=");
    if (isAwaited && argument !== "--") {
      isAwaited = false;
      shown.push(argument === "" ? "" : aroundReferences(argument, () => HIDDEN));
    } else if (isOption && equals === -1) {
      isAwaited = isSecretName(argument);
      shown.push(shownOption(argument, audience));
    } else if (index === packageAt && PACKAGE.test(argument) && isHarmless(argument)) {
      shown.push(argument);
    } else {
      shown.push(shownText(argument, audience));
    }
  }
  return shown;
}

/**
 * An address with possible secrets hidden: user, password, values of the query, random parts of the path. Its host and
 * port are those that `fetch` connects to, in the form of the parser if the text has another.
 */
export function shownUrl(address: string, audience: Audience): string {
  if (storedParts(address).length > 1) return aroundReferences(address, (part) => shownText(part, audience));
  const parsed = URL.parse(address);
  const url = parsed === null || isHostAsWritten(address, parsed) ? address : parsed.href;
  // Text after the first colon counts as a password unless it is a port, even if it contains a `/`, `?` or `#` that
  // is not encoded.
  const [, scheme = "", authority = "", path = "", query = "", fragment = ""] =
    /^([a-z][\w+.-]*:\/\/)((?:[^:/?#@[]*:(?!\d*(?:[/?#]|$))[^/?#@]*[/?#].*@)?[^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i.exec(
      url,
    ) ?? [];
  if (scheme === "") return audience === "log" ? hiddenWords(url) : HIDDEN;
  const at = authority.lastIndexOf("@");
  const host = at === -1 ? authority : `${HIDDEN}@${authority.slice(at + 1)}`;
  const values = query
    .slice(1)
    .split("&")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=");
      if (value.length === 0) return name === "" ? "" : shownPart(name, "log");
      const isShown = value.join("") === "" || (!isSecretName(name) && isHarmless(value.join("=")));
      return `${isHarmless(name) ? name : HIDDEN}=${isShown ? value.join("=") : HIDDEN}`;
    });
  const segments = path.split("/").map((segment) => shownPart(segment, audience));
  return [
    scheme,
    host,
    segments.join("/"),
    query === "" ? "" : `?${audience === "report" ? HIDDEN : values.join("&")}`,
    fragment === "" ? "" : `#${HIDDEN}`,
  ].join("");
}

/**
 * Returns the text of a value in `env` or `headers` as it may be shown. References stay as in the file; written
 * values are hidden if they may be secrets.
 */
export function shownSecretText(name: string, text: SecretText, audience: Audience): string {
  return text
    .map((part) => {
      if (typeof part !== "string") return referenceShown(part);
      if (/^[\s:;,./@=&-]*$/.test(part) || /^(?:bearer|basic|token|apikey) +$/i.test(part)) return part;
      return isSecretName(name) ? HIDDEN : shownText(part, audience);
    })
    .join("");
}

/**
 * Parses a text of `env` or `headers` as it is in the file, and returns what `shownSecretText` returns for the
 * result.
 */
export function shownWritten(name: string, written: string, audience: Audience): string {
  const reading = parseSecretText(written);
  return reading.ok ? shownSecretText(name, reading.value, audience) : HIDDEN;
}

/** Hides possible secrets in a text such as an argument, a command line or a path. */
export function shownText(text: string, audience: Audience): string {
  return aroundReferences(text, (part) => shownNested(part, audience, DEEPEST_PAIR));
}

/** Keeps references to stored secrets, and shows each text around them as `show` does. */
function aroundReferences(text: string, show: (part: string) => string): string {
  return storedParts(text.replace(USER_BEFORE_REFERENCE, `$1${HIDDEN}`))
    .map((part) => (typeof part === "string" ? show(part) : referenceShown(part)))
    .join("");
}

/** The nesting limit of pairs: `--env=NAME=VALUE` is a pair within a pair. */
const DEEPEST_PAIR = 3;

function shownNested(text: string, audience: Audience, levels: number): string {
  if (text === "") return "";
  if (/^[a-z][\w+.-]*:\/\/\S*$/i.test(text)) return shownUrl(text, audience);
  const pair = levels === 0 ? null : /^(-{0,2}[A-Za-z_][\w.-]*)=(.*)$/s.exec(text);
  if (pair !== null) {
    const [, name = "", value = ""] = pair;
    const isSecret = isSecretName(name) && value !== "";
    return `${shownOption(name, audience)}=${isSecret ? HIDDEN : shownNested(value, audience, levels - 1)}`;
  }
  return audience === "log" ? hiddenWords(text) : knownHarmless(text);
}

/** The hidden parts of arguments, addresses, variables and headers, so that logs can be filtered by them. */
export function hiddenValues(texts: readonly string[], shown: readonly string[]): readonly string[] {
  const values = new Set<string>();
  for (const [index, text] of texts.entries()) {
    for (const value of hiddenIn(text, shown[index] ?? HIDDEN)) values.add(value);
  }
  return [...values];
}

/** The parts of the text that `shown` replaces by `(hidden)`. */
function hiddenIn(text: string, shown: string): readonly string[] {
  const values: string[] = [];
  const [first = "", ...rest] = shown.split(HIDDEN);
  if (!text.startsWith(first)) return rest.length === 0 ? [] : [text];
  let from = first.length;
  for (const [index, part] of rest.entries()) {
    const isLast = index === rest.length - 1;
    const until = isLast ? text.length - part.length : part === "" ? from : text.indexOf(part, from);
    if (until < from) return [text];
    values.push(text.slice(from, until));
    from = until + part.length;
  }
  return values.filter((value) => value !== "");
}

function referenceShown(part: Exclude<SecretText[number], string>): string {
  return part.kind === "environment" ? `\${${part.variable}}` : `\${secret:${part.name}}`;
}

/** An option's name as shown; a name with an attached value (`-pPASSWORD`) may be a secret. */
function shownOption(name: string, audience: Audience): string {
  if (/^--?[A-Za-z][A-Za-z-]*$/.test(name) && name.length <= 40 && isHarmless(name)) return name;
  return shownPart(name, audience);
}

function shownPart(part: string, audience: Audience): string {
  if (part === "") return "";
  return audience === "log" ? hiddenWords(part) : isHarmless(part) ? part : HIDDEN;
}

/** In a text of many words, hides each word that may be a secret by its form or by the word before it. */
function hiddenWords(text: string): string {
  const known = text
    .replace(/(?<![\w+.-])[a-z][\w+.-]{0,20}:\/\/[^\s"'`<>]+/gi, (url) => shownUrl(url, "log"))
    .replace(
      /\b((?:bearer|basic) +|(?:proxy-)?authorization\s*[:=]\s*(?:(?:bearer|basic|token) +)?|cookie\s*[:=]\s*)([^\s"'`]+)/gi,
      (_, before: string, value: string) => `${before}${value.startsWith(HIDDEN) ? value : HIDDEN}`,
    )
    .replace(/(?<![\w.-])([A-Za-z_-][\w.-]*)(["']?\s{0,8}[:=]\s{0,8}["']?)([^\s"'`,;&|]+)/g, hiddenPair)
    .replace(/(?<![\w.-])(-{1,2}[A-Za-z][\w.-]*)(["']?\s{1,8}["']?)([^\s"'`,;&|]+)/g, hiddenPair);
  const spans = (pattern: RegExp) =>
    [...known.matchAll(pattern)].map(({ 0: path, index }) => [index, index + path.length] as const);
  const paths = spans(FILE_PATH);
  const stores = spans(STORE_FOLDER);
  return known.replace(WORD, (word, at: number) => {
    const store = stores.find(([from, to]) => from < at && at < to);
    if (store !== undefined && isHarmless(word.slice(store[1] - at))) return word;
    const isDigest = /^[0-9a-f]{64}$/.test(word) && known.slice(Math.max(0, at - 7), at) === "sha256:";
    const isInFilePath = (): boolean => paths.some(([from, to]) => from < at && at < to);
    const isName = known[at - 1] === "/" && isHarmlessName(word, isInFilePath);
    return isDigest || isName || isHarmless(word) ? word : HIDDEN;
  });
}

function hiddenPair(whole: string, name: string, between: string, value: string): string {
  const isDone = value.startsWith(HIDDEN) || /^(?:bearer|basic|token)$/i.test(value);
  return isSecretName(name) && !isDone ? `${name}${between}${HIDDEN}` : whole;
}

/** Keeps numbers, plain words that mean a setting, and paths of plain words; hides the rest. */
function knownHarmless(text: string): string {
  if (/^-?\d{1,5}(?:\.\d{1,3})?$/.test(text) || PLAIN_WORDS.test(text)) return text;
  if (/^(?:~|\.{1,2}|\/)$/.test(text) || /^--?$/.test(text)) return text;
  const isPath = /^(?:~|\.{1,2})?(?:\/[\w@.+ -]+)+\/?$/.test(text);
  if (isPath && text.split("/").every((segment) => segment === "" || isHarmless(segment))) return text;
  const isScoped = /^@[a-z0-9][\w.-]*\//i.test(text) && PACKAGE.test(text);
  return isScoped && isHarmless(text) ? text : HIDDEN;
}

/** Words as people write them: letters, short numbers, versions. Neither a token nor anything that looks random. */
function isHarmless(written: string): boolean {
  const text = written.replace(/%(2[0C-F]|3[AD])/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  if (TOKEN_PREFIX.test(text) || text.length > 200) return false;
  return text.split(/[^A-Za-z0-9\u00a1-\uffff]+/).every(isHarmlessPart) && !/[%!^]/.test(text);
}

/**
 * True if the name of a folder or file is no secret. Short names count as harmless even if they look random, and so
 * do digests in a file's path: programs and builds make such names.
 */
function isHarmlessName(name: string, isInFilePath: () => boolean): boolean {
  if (TOKEN_PREFIX.test(name)) return false;
  return name
    .split(/[^A-Za-z0-9\u00a1-\uffff]+/)
    .every((part) => part.length < 16 || isHarmlessPart(part) || (DIGEST.test(part) && isInFilePath()));
}

function isHarmlessPart(part: string): boolean {
  if (part === "") return true;
  if (/^\d+$/.test(part)) return part.length <= 8;
  // Words such as `Names`, `camelCase`, `macOS` and `README`. The next line accepts words of other scripts.
  if (/^(?:[A-Z]?[a-z]+(?:[A-Z][a-z]+)*(?:[A-Z]{2})?|[A-Z]+|[A-Z]{2,5}[a-z]+)$/.test(part))
    return part.length <= 24;
  if (/[\u00a1-\uffff]/.test(part)) return part.length <= 24;
  // Accepts, for example, `python3`, `v20`, `utf8`, `3d`, `x86`, `n8n`, `v1beta1`, `1rc2` and `1280x720`.
  const form =
    /^(?:[A-Za-z]?[a-z]{0,8}\d{1,3}|\d{1,3}[a-z]{1,3}|[a-z]{1,3}\d[a-z]{1,4}|v\d(?:alpha|beta)\d|\d{1,3}(?:a|b|p|rc|dev|post)\d{1,3}|\d{3,4}x\d{3,4})$/;
  return part.length <= 10 && form.test(part);
}

function firstOperand(args: readonly string[]): number {
  return args.findIndex((argument, index) => {
    if (argument.startsWith("-")) return false;
    const before = args[index - 1];
    return before === undefined || !/^(?:-p|--package|--from|--with|--python|-c|--call|--spec)$/.test(before);
  });
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
