// Hides possible secrets in a program's arguments, in an address and in other texts of the configuration. Pure.

import { TEXT_BOUNDS } from "../runtime/text/bounds.ts";
import { textReference } from "../secrets/reference.ts";
import { argumentKinds, runningSpans } from "./argument-kinds.ts";
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
  /api[-_]?key|(?:^|[-_])key$|token|secret|passw|passphrase|passcode|pgpass|pwd|(?:^|[-_])(?:pass|pw)$|credential|signature|authorization|(?:^|[-_])auth$|bearer|cookie|session[-_]?id|(?:^|[-_])(?:pat|pin|sig|dsn|jwt|salt)$|connection[-_]?string|private[-_]?key|private$|webhook|mnemonic|seed[-_]?phrase/i;
/** Names that match `SECRET_NAME`, although their values are settings. */
const SETTING_NAME =
  /(?:^|[-_])(?:path|file|dir|limit|count|size|ttl|type|mode|host|port|header|prefix|domain|issuer|endpoint|timeout|parallelism|algorithm|name|region|scope|expiry|arn|manager|provider|format|version|length)$|(?:^|[-_])(?:max[-_](?:\w+[-_])?tokens|tokenizer|public[-_]key)$|(?:^|[-_])(?:token|auth|authorization)[-_]ur[li]$/i;
/** Names of values that identify something to others: however random they look, they are not secrets. */
const ID_NAME = /(?:^|[-_])(?:id|sid|uuid|guid|project|sha|commit|digest|rev|revision|version|model)$/i;
/** Matches the beginnings of tokens of well-known services, and of JSON web tokens. */
const TOKEN_PREFIX =
  /^(?:sk|pk|rk)[-_](?=.{6})|^gh[opsur]_|^github_pat_|^gl[a-z]{2,4}-|^xox[a-z]-|^xapp-|^AKIA|^ASIA|^AIza|^ya29\.|^eyJ|^npm_|^hf_|^pypi-|^dop_v1_|^shp[a-z]{2}_|^SG\.|^whsec_|^lin_api_|^ntn_|^secret_|^figd_|^ATATT|^tvly-|^pplx-|^gsk_|^nvapi-|^dckr_pat_/;
/** A word of a text; other characters separate words. */
const TOKEN = /[A-Za-z0-9_+~%!*^$.\-\u00a1-\uffff]+/g;
const PACKAGE = /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(?:@[\w.^~-]+)?$/i;
/** An absolute path to a file with an extension, as a separate word. */
const FILE_PATH =
  /(?<![^\s"'`=:,;|&<(])\/(?:[\w@.+~-]+\/)*[\w@+~-][\w@.+~-]*\.[A-Za-z]\w{0,7}(?![^\s"'`:,;|&>)])/g;
/** The name that Nix or uv gives to a folder of its store, up to where the name of what is in it begins. */
const STORE_FOLDER = /\/nix\/store\/[0-9a-z]{32}(?=-)|\/archive-v\d+\/[\w-]{20,22}(?=\/)/g;
/** A digest in the name of a built folder or file: `35010a7b583850f6`, `main-35010a7b583850f6.js`. */
const DIGEST = /^[0-9a-f]{16,64}$/;
/** Letters with digits in or around them: `python3`, `chat2db`, `es2022`, `10MB`, `2024Q3`, `openapi2mcp`, `1280x720`. */
const LETTERS_AND_DIGITS = new RegExp(
  [
    /(?:[A-Z]?[a-z]+(?:[A-Z][a-z]{2,})*|[A-Z]+|[A-Z]{2,5}[a-z]+)(?:\d{1,4}|\d{1,2}(?:[A-Z]?[a-z]+|[A-Z]{1,4})|\d{3,4}[a-zA-Z]{1,3})/,
    /\d{1,4}(?:[A-Z]?[a-z]+|[A-Z]{1,5}|[A-Z]{1,3}[a-z])\d{0,4}|v\d(?:alpha|beta)\d|[a-z]{1,5}[23468][a-z]{1,5}[23468]|(?:\d{1,2}[hmsd])+/,
  ]
    .map(({ source }) => `^(?:${source})$`)
    .join("|"),
);
const PLAIN_TEXT =
  /^(?:true|false|yes|no|on|off|all|none|auto|stdio|http|https|sse|debug|info|warn|warning|error)$/i;

/** The beginning of an address, up to its path. */
const AUTHORITY = /(?<![\w+.-])([a-z][\w+.-]{0,20}:\/\/)([^\s/?#\\]+)/gi;

/** True if a value of this name is most likely a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > TEXT_BOUNDS.shownName.most) return true;
  const plain = kebabName(name);
  return SECRET_NAME.test(plain) && !SETTING_NAME.test(plain);
}

/** `access-Key` for `accessKey`. */
function kebabName(name: string): string {
  return name.replace(/([a-z\d])(?=[A-Z])/g, "$1-");
}

/** The program as it may be shown: a name or a path whole, a text with blanks like an argument. */
export function shownCommand(command: string, audience: Audience): string {
  const isName = !/[\s=()]|:\/\//.test(command);
  return isName ? command : shownNestedParts(command, audience, true);
}

/** The arguments with possible secrets replaced by `(hidden)`; what names a program, package, image or host stays. */
export function shownArguments(
  command: string,
  args: readonly string[],
  audience: Audience,
): readonly string[] {
  const shown: string[] = [];
  let isAwaited = false;
  let isIdentity = false;
  const kinds = argumentKinds(command, args);
  for (const [index, argument] of args.entries()) {
    const isOption = /^--?[A-Za-z]/.test(argument);
    const isNamed = isOption && !argument.includes("=");
    const kind = kinds[index];
    if (isAwaited && argument !== "--") {
      isAwaited = false;
      shown.push(argument === "" ? "" : aroundReferences(argument, () => HIDDEN));
    } else if (isOption) {
      const next = kinds[index + 1] === "runs" ? "" : (args[index + 1] ?? "");
      isAwaited = isNamed && isSecretOption(argument, next) && !argument.startsWith("--no-");
      shown.push(shownWord(argument, audience));
    } else if (kind === "environment") {
      shown.push(aroundReferences(argument, (part) => shownPair(part, audience, DEEPEST_PAIR)));
    } else if (kind === "runs" && (audience === "log" || isKnownPackage(argument))) {
      shown.push(argument.includes("://") ? shownUrl(argument, audience, true) : argument);
    } else if (isIdentity && audience === "log" && isIdentifier(argument)) {
      shown.push(argument);
    } else {
      shown.push(shownNestedParts(argument, audience, kind === "code"));
    }
    isIdentity = isNamed && ID_NAME.test(kebabName(argument));
  }
  return shown;
}

/** `next`: the argument after it, unless that names what runs. */
function isSecretOption(option: string, next: string): boolean {
  return isSecretName(option) || (option === "-P" && next !== "" && !/^(?:\d{1,5}$|-)/.test(next));
}

/** `-p` with ports, and options of letters. Any other `-p` with a value may have a password. */
const PORTS = /^-p(?:[\d.:/-]+(?:tcp|udp)?|[A-Za-z-]*)$/;

/** An option as it may be shown. A value glued to its letter (`-pPASSWORD`) ends where the word ends, whatever is in it. */
function shownWord(argument: string, audience: Audience): string {
  const isNamed = !argument.includes("=");
  const shown = isNamed
    ? shownOption(argument, audience)
    : aroundReferences(argument, (part) => shownPair(part, audience, DEEPEST_PAIR));
  const hasValue = /^-[A-Za-z]/.test(argument) && !/^[A-Za-z-]*$/.test(argument);
  const isOdd = /[^\w.,:/=@+-]/.test(argument) || (argument[1] === "p" && !PORTS.test(argument));
  if (!hasValue || isSecretName(/^-([\w.-]+)=/.exec(argument)?.[1] ?? "") || !(isOdd || shown !== argument))
    return shown;
  return `${argument.slice(0, 2)}${aroundReferences(argument.slice(2), () => HIDDEN)}`;
}

function isKnownPackage(text: string): boolean {
  return PACKAGE.test(text) && isPlain(text);
}

/** True for a word that identifies something, unless it has the form of a token. */
function isIdentifier(text: string): boolean {
  return /^[\w.@:+-]+$/.test(text) && !TOKEN_PREFIX.test(text);
}

const ADDRESS = /^(?:-{0,2}[A-Za-z_][\w.-]*=)?(?:jdbc:)?[a-z][\w+.-]*:\/\/(.*)$/is;
const HOST = /^(?:localhost|[\w-]+\.[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/**
 * Whether the text is an address in which an `@` may end a password or be part of a path, a query or the password: it is
 * part of them only after a host, and what is before it may otherwise belong to the password.
 */
export function hasUnclearPassword(text: string): boolean {
  const [, rest = ""] = ADDRESS.exec(text) ?? [];
  const last = rest.lastIndexOf("@");
  const later = rest.search(/[/?#]/);
  if (last === -1) return false;
  if (later === -1 || later > last) return /[\s"'`;|&<>\\,(){}]/.test(rest.slice(0, last));
  return !HOST.test(rest.slice(0, later));
}

/** An address with an unclear password, without everything before the last `@`; the rest as `shownUrl` shows it. */
export function shownUnclearUrl(address: string): string {
  const scheme = /^[^:]*:\/\//.exec(address)?.[0] ?? "";
  return shownUrl(`${scheme}${address.slice(address.lastIndexOf("@") + 1)}`, "log");
}

/**
 * An address with possible secrets hidden: user, password, values of the query, random parts of the path. Its host and
 * port are those that `fetch` connects to, in the form of the parser if the text has another.
 */
export function shownUrl(address: string, audience: Audience, isRun = false): string {
  if (storedParts(address).length > 1) return aroundReferences(address, (part) => shownText(part, audience));
  const parsed = URL.parse(address);
  const url = parsed === null || isHostAsWritten(address, parsed) ? address : parsed.href;
  const scheme = /^[a-z][\w+.-]*:\/\//i.exec(url)?.[0] ?? "";
  const authority = authorityIn(url.slice(scheme.length));
  const [, path = "", query = "", fragment = ""] =
    /^([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(url.slice(scheme.length + authority.length)) ?? [];
  if (scheme === "") return audience === "log" ? hiddenTokens(url) : HIDDEN;
  const at = authority.lastIndexOf("@");
  const host = at === -1 ? authority : `${HIDDEN}@${authority.slice(at + 1)}`;
  const values = query
    .slice(1)
    .split("&")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=");
      if (value.length === 0) return name === "" ? "" : shownPart(name, "log");
      const isSecret = isSecretName(name) || (/^[kp]$/i.test(name) && !/^\d{1,5}$/.test(value.join("=")));
      const isShown = value.join("") === "" || (!isSecret && isPlain(value.join("=")));
      return `${isPlain(name) ? name : HIDDEN}=${isShown ? value.join("=") : HIDDEN}`;
    });
  const segments = isRun ? [path] : path.split("/").map((segment) => shownPart(segment, audience));
  return [
    scheme,
    host,
    segments.join("/"),
    query === "" ? "" : `?${audience === "report" ? HIDDEN : values.join("&")}`,
    fragment === "" ? "" : `#${HIDDEN}`,
  ].join("");
}

/**
 * User, password, host and port. Text after the first colon counts as a password unless it is a port, even if it contains a `/`,
 * `?` or `#` that is not encoded.
 */
function authorityIn(rest: string): string {
  const end = (from: number): number => {
    const length = rest.slice(from).search(/[/?#]/);
    return length === -1 ? rest.length : from + length;
  };
  const isPassword = /^[^:/?#@[]*:(?!\d*(?:[/?#]|$))[^/?#@]*[/?#]/.test(rest);
  const at = isPassword ? rest.lastIndexOf("@") : -1;
  return rest.slice(0, end(at === -1 ? 0 : at));
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
      if (isSecretName(name)) return /credential/i.test(name) && isFilePath(part) ? part : HIDDEN;
      const isIdentity = audience === "log" && ID_NAME.test(kebabName(name)) && isIdentifier(part);
      return isIdentity ? part : shownText(part, audience);
    })
    .join("");
}

/** True for the path of a file with an extension. */
function isFilePath(text: string): boolean {
  return /^(?:~|\.{0,2})\/[^\n]*\.[A-Za-z]\w{0,7}$/.test(text);
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
  return shownNestedParts(text, audience, false);
}

function shownNestedParts(text: string, audience: Audience, isCode: boolean): string {
  return aroundReferences(text, (part) => shownNested(part, audience, DEEPEST_PAIR, isCode));
}

/** Keeps references to stored secrets, and shows each text around them as `show` does. */
function aroundReferences(text: string, show: (part: string) => string): string {
  return storedParts(text.replace(AUTHORITY, hidingUserBeforeReference))
    .map((part) => (typeof part === "string" ? show(part) : referenceShown(part)))
    .join("");
}

/** Hides what precedes a reference in the user or password of an address. */
function hidingUserBeforeReference(whole: string, scheme: string, authority: string): string {
  const at = authority.indexOf("${secret:");
  const isUser = at > 0 && !authority.slice(0, at).includes("@") && authority.includes("@", at);
  return isUser ? `${scheme}${HIDDEN}${authority.slice(at)}` : whole;
}

/** The nesting limit of pairs: `--env=NAME=VALUE` is a pair within a pair. */
const DEEPEST_PAIR = 3;

function shownNested(text: string, audience: Audience, levels: number, isCode: boolean): string {
  if (text === "") return "";
  if (PRIVATE_KEY.test(text)) return HIDDEN;
  const [, java, address = "", end = "", members = ""] = JDBC.exec(text) ?? [];
  if (java !== undefined) {
    const shown = shownConnection(members, audience) ?? shownText(members, audience);
    return `${java}${shownUrl(address, audience)}${end}${shown}`;
  }
  if (/^[a-z][\w+.-]*:\/\/\S*$/i.test(text)) return shownUrl(text, audience);
  const connection = isCode ? null : shownConnection(text, audience);
  if (connection !== null) return connection;
  // A text with blanks may be a command after `NAME=`. Only the secret parts of a command are hidden.
  if (!isCode && (audience === "report" || !/\s/.test(text))) return shownPair(text, audience, levels);
  return audience === "log" ? hiddenTokens(text, isCode) : knownPlain(text);
}

/** Shows `NAME=VALUE` or `--name=VALUE`, and hides the whole value if the name is a secret's. */
function shownPair(text: string, audience: Audience, levels: number): string {
  const pair = levels === 0 ? null : /^(-{0,2}[A-Za-z_][\w.-]*)=(.*)$/s.exec(text);
  if (pair === null) return audience === "log" ? hiddenTokens(text, false) : knownPlain(text);
  const [, name = "", value = ""] = pair;
  const isIdentity = audience === "log" && ID_NAME.test(kebabName(name)) && isIdentifier(value);
  if (isSecretName(name) && value !== "") return `${shownOption(name, audience)}=${HIDDEN}`;
  return `${shownOption(name, audience)}=${isIdentity ? value : shownNested(value, audience, levels - 1, false)}`;
}

/** An address of Java, which may end like a connection string. */
const JDBC = /^(jdbc:)([a-z][\w+.-]*:\/\/[^\s;]*)(;?)(.*)$/is;
/** A text in PEM form, or the JSON of an account with its key: a secret as a whole. */
const PRIVATE_KEY = /-----BEGIN [A-Z]|^\s*\{.*"(?:private_key|privateKey)"\s*:/s;
/** Several hidden words in one value, with only signs and short texts between them. */
const PARTS =
  /(?<![^\s"'`,;&|<>={[])(?:[A-Za-z0-9+_-]{0,8}[+/=:.])?\(hidden\)(?:[+/=:.]{1,4}(?:[A-Za-z0-9_-]{1,24}[+/=:.]{1,4})?\(hidden\))+[A-Za-z0-9+/=]{0,8}/g;
/** Matches a text in base64: one value, of which no part is shown. */
const BASE64 = /^(?:[A-Za-z0-9+/_-]{16,}={1,2}|[A-Za-z0-9+_-][A-Za-z0-9+/_-]{39,})$/;

/** The hidden parts of arguments, addresses, variables and headers, so that logs can be filtered by them. */
export function hiddenValues(texts: readonly string[], shown: readonly string[]): readonly string[] {
  const values = new Set<string>();
  for (const [index, text] of texts.entries()) {
    for (const value of hiddenIn(text, shown[index] ?? HIDDEN)) values.add(value);
  }
  return [...values];
}

/** The parts of the text that `shown` replaces by `(hidden)`, in order. */
export function hiddenIn(text: string, shown: string): readonly string[] {
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
  return textReference(part);
}

/** An option's name as shown; a name with an attached value (`-pPASSWORD`) may be a secret. */
function shownOption(name: string, audience: Audience): string {
  if (/^--?[A-Za-z][A-Za-z-]*$/.test(name) && name.length <= 40 && isPlain(name)) return name;
  return shownPart(name, audience);
}

function shownPart(part: string, audience: Audience): string {
  if (part === "") return "";
  return audience === "log" ? hiddenTokens(part) : isPlain(part) ? part : HIDDEN;
}

/** A member of a connection string. A value ends at the next `;` that is not quoted. */
const MEMBER =
  /\s*([A-Za-z][\w ]*)=("(?:[^"]|"")*"(?=;|$)|'(?:[^']|'')*'(?=;|$)|\{(?:[^}]|\}\})*\}(?=;|$)|[^;]*)(?:;|$)/gy;

/** A connection string (`Server=db;Password="a;b"`) with its secrets hidden; null: the text is not one. */
function shownConnection(text: string, audience: Audience): string | null {
  const members = [...text.matchAll(MEMBER)];
  const isWhole = members.map(([whole]) => whole).join("") === text;
  const [first = true, ...others] = members.map(([, name = ""]) => isSecretName(name.trim()));
  if (!isWhole || first || !others.includes(true)) return null;
  return members
    .map(([whole, name = "", value = ""]) => {
      const at = whole.indexOf(value, whole.indexOf("="));
      const shown = isSecretName(name.trim()) && value !== "" ? HIDDEN : shownPart(value, audience);
      return `${whole.slice(0, at)}${shown}${whole.slice(at + value.length)}`;
    })
    .join("");
}

/** In a text of many words, hides each word that may be a secret by its form or by the word before it. */
function hiddenTokens(text: string, isCode = false): string {
  // In code, a value ends where the next command begins.
  const value = isCode ? "[^\\s\"'`,;&|<>()]+" : "[^\\s\"'`,;&|]+";
  const quoted = `(?:"([^"]{0,2000})"|'([^']{0,2000})'|(${value}))`;
  const hider = pairHider(isCode ? text : null);
  const known = text
    .replace(
      isCode
        ? /(?<![\w+.-])[a-z][\w+.-]{0,20}:\/\/[^\s"'`<>;|]+/gi
        : /(?<![\w+.-])[a-z][\w+.-]{0,20}:\/\/[^\s"'`<>]+/gi,
      (url) => (isCode && mayRun(url) ? url : shownUrl(url, "log")),
    )
    .replace(
      /\b((?:bearer|basic) {1,8}|(?:proxy-)?authorization\s{0,8}[:=]\s{0,8}(?:(?:bearer|basic|token) {1,8})?|cookie\s{0,8}[:=]\s{0,8})([^\s"'`;&|]+)/gi,
      (whole, before: string, value: string) =>
        value.startsWith(HIDDEN) || mayRun(value) ? whole : `${before}${HIDDEN}`,
    )
    .replace(new RegExp(`(?<![\\w.-])([A-Za-z_-][\\w.-]*)(["']?\\s{0,8}[:=]\\s{0,8})${quoted}`, "g"), hider)
    .replace(new RegExp(`(?<![\\w.-])(-{1,2}[A-Za-z][\\w.-]*)(["']?\\s{1,8})${quoted}`, "g"), hider);
  const spans = (pattern: RegExp) =>
    [...known.matchAll(pattern)].map(({ 0: path, index }) => [index, index + path.length] as const);
  const isWithin = (at: number, all: readonly (readonly [number, number])[]): boolean =>
    all.some(([from, to]) => from <= at && at < to);
  const paths = spans(FILE_PATH);
  const stores = spans(STORE_FOLDER);
  const running = isCode || /\s/.test(known) ? runningSpans(known, isCode) : [];
  const shown = known.replace(TOKEN, (token, at: number) => {
    const store = stores.find(([from, to]) => from < at && at < to);
    if (store !== undefined && isPlain(token.slice(store[1] - at))) return token;
    const isDigest = /^[0-9a-f]{64}$/.test(token) && known.slice(Math.max(0, at - 7), at) === "sha256:";
    const isName = known[at - 1] === "/" && isPlainName(token, () => isWithin(at, paths));
    return isDigest || isName || isPlain(token) || isWithin(at, running) ? token : HIDDEN;
  });
  if (shown !== known && BASE64.test(text)) return HIDDEN;
  // Parts of one secret: `123456789:AAF…`, and the lines of a key in base64.
  return shown.replace(PARTS, HIDDEN);
}

/** The replacement for a pair of a name and a value in `code`, or in another text if that is null. */
function pairHider(code: string | null) {
  return (
    whole: string,
    name: string,
    between: string,
    double: string | undefined,
    single: string | undefined,
    plain = "",
  ): string => {
    const value = double ?? single ?? plain;
    const isDone = value === "" || value.startsWith(HIDDEN) || /^(?:bearer|basic|token)(?: |$)/i.test(value);
    if (!isSecretName(name) || isDone || mayRun(value)) return whole;
    if (code !== null && /\s/.test(value) && runsVariable(code, name)) return whole;
    const quote = double !== undefined ? '"' : single !== undefined ? "'" : "";
    return `${name}${between}${quote}${HIDDEN}${quote}`;
  };
}

/** True for a value that a shell computes: by running a program, or from a variable. */
function mayRun(value: string): boolean {
  return /\$\(|`|<\(|\$$|^\$\{?\w+\}?$/.test(value);
}

/** True if a variable's value is a command of the code: `$NAME` in the place of a program, `eval $NAME`. */
function runsVariable(code: string, name: string): boolean {
  return new RegExp(`(?:^|[;&|({\\n]|\\beval|-c)\\s{0,8}["']?\\$\\{?${name}\\b`).test(code);
}

/** Keeps numbers, plain words that mean a setting, and paths of plain words; hides the rest. */
function knownPlain(text: string): string {
  if (/^-?\d{1,5}(?:\.\d{1,3})?$/.test(text) || PLAIN_TEXT.test(text)) return text;
  if (/^(?:~|\.{1,2}|\/)$/.test(text) || /^--?$/.test(text)) return text;
  const isPath = /^(?:~|\.{1,2})?(?:\/[\w@.+ -]+)+\/?$/.test(text);
  if (isPath && text.split("/").every((segment) => segment === "" || isPlain(segment))) return text;
  const isScoped = /^@[a-z0-9][\w.-]*\//i.test(text) && PACKAGE.test(text);
  return isScoped && isPlain(text) ? text : HIDDEN;
}

/** Words as people write them: letters, short numbers, versions. Neither a token nor anything that looks random. */
function isPlain(written: string): boolean {
  const text = written.replace(/%(2[0C-F]|3[AD])/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  if (TOKEN_PREFIX.test(text) || text.length > 200) return false;
  return text.split(/[^A-Za-z0-9\u00a1-\uffff]+/).every(isPlainPart) && !/[%!^]/.test(text);
}

/**
 * True if the name of a folder or file is not a secret. Short names are harmless even if they look random, and so are
 * digests in a file's path: programs and builds make these names.
 */
function isPlainName(name: string, isInFilePath: () => boolean): boolean {
  if (TOKEN_PREFIX.test(name)) return false;
  return name
    .split(/[^A-Za-z0-9\u00a1-\uffff]+/)
    .every((part) => part.length < 16 || isPlainPart(part) || (DIGEST.test(part) && isInFilePath()));
}

const LONGEST_PART = 24;

function isPlainPart(part: string): boolean {
  if (part === "") return true;
  if (part.length > LONGEST_PART) return false;
  if (/^\d+$/.test(part)) return part.length <= 8;
  // Words such as `Names`, `camelCase`, `macOS` and `README`. The next line accepts words of other scripts.
  if (/^(?:[A-Z]?[a-z]+(?:[A-Z][a-z]+)*(?:[A-Z]{2})?|[A-Z]+|[A-Z]{2,5}[a-z]+|[A-Za-z]{1,4})$/.test(part))
    return true;
  return /[\u00a1-\uffff]/.test(part) || LETTERS_AND_DIGITS.test(part);
}
