// An entry as a person reads it before approving it: a line for each key, references to secrets as references. Pure.
import { isSecretHeader, isSecretVariable } from "../backend-names.ts";
import { HIDDEN, shownArguments, shownText, shownUrl } from "../shown-values.ts";
import type { PartValues, WaitingEntry } from "./decide-held.ts";
import { type EntryValue, isList, snakeCase } from "./entries.ts";

/** Sorted as they were written, one `key = value` a line, each ended; "" for what runs nothing. */
export function entryText(parts: PartValues | null): string {
  if (parts === null) return "";
  // The first of the routes is the connection, and is not told twice.
  const routes = parts["routes"] ?? null;
  const told = isList(routes) ? { ...parts, connection: null, routes: routes.map(routeLines) } : parts;
  return Object.entries(told)
    .flatMap(([name, value]) => lines(isShell(name) ? [] : [name], value))
    .map((line) => `${line}\n`)
    .join("");
}

/** A route as the file has it. */
function routeLines(route: EntryValue): EntryValue {
  const { name = null, connection = null } =
    typeof route === "object" && route !== null && !isList(route) ? route : {};
  return typeof connection === "object" && !isList(connection) ? { name, ...connection } : route;
}

/** What waits, with a word on what its difference from the approved one may hide. */
export function waitingText({ approved, waiting }: Pick<WaitingEntry, "approved" | "waiting">): string {
  const text = entryText(waiting);
  if (approved === null || !text.includes(HIDDEN)) return text;
  const isAllHidden = entryText(approved) === text;
  const what = isAllHidden
    ? `a value that is ${HIDDEN} is another one`
    : `what is ${HIDDEN} may be another value`;
  return `${text}# ${what}: look into the file\n`;
}

/** Parts that are no key of their own in the file. */
function isShell(name: string): boolean {
  return ["connection", "incomingAuth", "authorization", "audit"].includes(name);
}

function lines(path: readonly string[], value: EntryValue): string[] {
  const [key = "", parent = ""] = path.toReversed();
  // An empty text has no parts, and says something all the same.
  const isText = parent === "env" || parent === "headers";
  if (value === null || (isList(value) && value.length === 0 && !isText)) return [];
  const told = asReference(value) ?? asSecretText(path, value);
  if (told !== null) return [`${keyText(path)} = ${quote(told)}`];
  if (isList(value)) {
    const isPlain = value.every((part) => typeof part !== "object");
    if (isPlain) return [`${keyText(path)} = ${JSON.stringify(value)}`];
    return value.flatMap((part, index) => lines([...path.slice(0, -1), `${key}[${index}]`], part));
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([name, part]) => lines([...path, name], part));
  }
  if (key === "url" && typeof value === "string") return [`url = ${quote(shownUrl(value, "log"))}`];
  if (typeof value !== "string") return [`${keyText(path)} = ${value}`];
  return [`${keyText(path)} = ${quote(isHidden(parent, key) ? HIDDEN : value)}`];
}

function isHidden(parent: string, key: string): boolean {
  return (parent === "env" && isSecretVariable(key)) || (parent === "headers" && isSecretHeader(key));
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** People choose the keys below these; all others are ours, and written in the file's way. */
function keyText(path: readonly string[]): string {
  const chosenAfter = path.findIndex((segment) => ["env", "headers", "toolOverrides"].includes(segment));
  return path
    .map((segment, index) => (chosenAfter !== -1 && index === chosenAfter + 1 ? segment : snakeCase(segment)))
    .join(".");
}

function asReference(value: EntryValue): string | null {
  if (typeof value !== "object" || value === null || isList(value)) return null;
  const { kind, variable, name } = value;
  if (kind === "environment" && typeof variable === "string") return `\${${variable}}`;
  return kind === "stored" && typeof name === "string" ? `secret:${name}` : null;
}

/** A text with references in it, as it stands in `env` and `headers`. */
function asSecretText(path: readonly string[], value: EntryValue): string | null {
  const [key = "", parent = ""] = path.toReversed();
  if (!isList(value) || (parent !== "env" && parent !== "headers")) return null;
  return value
    .map((part) => {
      const reference = asReference(part);
      if (reference === null) return isHidden(parent, key) && value.length === 1 ? HIDDEN : String(part);
      return reference.startsWith("secret:") ? `\${${reference}}` : reference;
    })
    .join("");
}

/** What an entry would do, in a few words, without any value that could be a secret: for the log, events and status. */
export function entrySummary({ group, name, kind, approved, waiting }: WaitingEntry): string {
  const { connection, routes = null } = waiting;
  const ways = isList(routes)
    ? routes.map((route) =>
        connectionSummary(
          typeof route === "object" && route !== null && !isList(route)
            ? (route["connection"] ?? null)
            : null,
        ),
      )
    : [connection === undefined ? "" : connectionSummary(connection)];
  const what = ways.filter((way) => way !== "").join(", or ");
  const noun = { backends: "backend ", shares: "share ", aliases: "alias ", sections: "" }[group];
  const who = group === "sections" ? `[${name}]` : `${noun}${name}`;
  if (what === "") return `${who} would ${MEANINGS[kind]}`;
  return `${who} would ${what}${approved === null ? "" : " instead"}`;
}

const MEANINGS = {
  runs: "change what runs",
  approval: "loosen which changes wait",
  sends: "change where a credential goes",
  access: "change who may do what",
  guards: "change what is guarded",
} as const;

function connectionSummary(connection: EntryValue): string {
  if (typeof connection !== "object" || connection === null || isList(connection)) return "";
  const { command, args, url } = connection;
  if (typeof url === "string") return `connect to ${shownUrl(url, "log")}`;
  if (typeof command !== "string") return "";
  const texts = args !== undefined && isList(args) ? args.filter((arg) => typeof arg === "string") : [];
  return `run ${[shownText(command, "log"), ...shownArguments(command, texts, "log")].join(" ")}`;
}
