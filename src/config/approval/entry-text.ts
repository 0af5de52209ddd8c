// The text of an entry that a person reads before approving it: a line for each key, with secrets as references. Pure.

import { firstNames, pluralize } from "../../runtime/text/plain-text.ts";
import { referenceText } from "../../secrets/reference.ts";
import { HIDDEN, isAddress, shownArguments, shownCommand, shownText, shownUrl } from "../shown-values.ts";
import { snakeCase } from "../snapshot.ts";
import { isSecretHeader, isSecretVariable } from "../values/backend-names.ts";
import type { WaitingEntry } from "./apply-approvals.ts";
import { type EntryValue, type Fields, isList, isSameMeaning, membersOf } from "./entries.ts";
import { asInFile, CHOSEN_BELOW } from "./entry-keys.ts";

/**
 * Lines of `key = value` in the file's order, each with a line break at its end. If `parts` is null, nothing runs and
 * the text is empty.
 */
export function entryText(parts: Fields | null): string {
  if (parts === null) return "";
  // `connection` has the same content as the first route, so only the routes are shown.
  const routes = parts["routes"] ?? null;
  const shown = isList(routes) ? { ...parts, connection: null, routes: routes.map(routeLines) } : parts;
  return Object.entries(asInFile(shown))
    .flatMap(([name, value]) => lines(isShell(name) ? [] : [name], value))
    .map((line) => `${line}\n`)
    .join("");
}

/** Those members of a route that are keys in the file. */
function routeLines(route: EntryValue): EntryValue {
  const { name = null, connection = null } = membersOf(route);
  // The file needs no `type`, because the type follows from the other keys.
  const { type: _type, ...rest } = membersOf(connection);
  return { name, ...rest };
}

/** The text of an entry that waits, with a remark if a hidden value may differ from the approved one. */
export function waitingText(entry: Pick<WaitingEntry, "approved" | "waiting">): string {
  const { approved, waiting } = entry;
  const text = entryText(waiting);
  if (approved === null || !text.includes(HIDDEN)) return text;
  const isAllHidden = entryText(approved) === text;
  const what = isAllHidden
    ? `a value shown as ${HIDDEN} has changed`
    : `a value shown as ${HIDDEN} may have changed`;
  return `${text}# ${what}: check the file\n`;
}

/** Whether a part lacks its own key in the file: its members are keys of the section. */
function isShell(name: string): boolean {
  return ["connection", "incomingAuth", "authorization", "audit"].includes(name);
}

/**
 * Keys of public addresses, which are shown whole: such an address may contain a tenant's id, which looks
 * like a secret, but a person has to see it to approve the address.
 */
const PUBLIC_ADDRESSES: ReadonlySet<string> = new Set(["issuer", "jwks", "publicUrl", "clientMetadataUrl"]);

function lines(path: readonly string[], value: EntryValue): string[] {
  const [key = "", parent = ""] = path.toReversed();
  // A text of `env` or `headers` is a list of parts: an empty list is an empty text, which is shown.
  const isText = parent === "env" || parent === "headers";
  if (value === null || (isList(value) && value.length === 0 && !isText)) return [];
  const safe = asReference(value) ?? asSecretText(path, value);
  if (safe !== null) return [`${keyText(path)} = ${quote(safe)}`];
  if (isList(value)) {
    const isPlain = value.every((part) => typeof part !== "object");
    if (isPlain) return [`${keyText(path)} = ${JSON.stringify(value)}`];
    return value.flatMap((part, index) => lines([...path.slice(0, -1), `${key}[${index}]`], part));
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([name, part]) => lines([...path, name], part));
  }
  if (isAddress(value)) {
    const isShown = PUBLIC_ADDRESSES.has(key) && !/[?#@]/.test(value);
    return [`${keyText(path)} = ${quote(isShown ? value : shownUrl(value, "log"))}`];
  }
  if (typeof value !== "string") return [`${keyText(path)} = ${value}`];
  return [`${keyText(path)} = ${quote(isHidden(parent, key) ? HIDDEN : value)}`];
}

function isHidden(parent: string, key: string): boolean {
  return (parent === "env" && isSecretVariable(key)) || (parent === "headers" && isSecretHeader(key));
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** The path in the file's spelling; keys that people choose stay as they are. */
function keyText(path: readonly string[]): string {
  const chosenAfter = path.findIndex((segment) => CHOSEN_BELOW.has(segment));
  return path
    .map((segment, index) => (chosenAfter !== -1 && index === chosenAfter + 1 ? segment : snakeCase(segment)))
    .join(".");
}

function asReference(value: EntryValue): string | null {
  if (typeof value !== "object" || value === null || isList(value)) return null;
  const { kind, variable, name } = value;
  if (kind === "environment" && typeof variable === "string") return `\${${variable}}`;
  return kind === "stored" && typeof name === "string" ? referenceText({ kind, name }) : null;
}

/** The text of a value of `env` or `headers`, with its references; null for other values. */
function asSecretText(path: readonly string[], value: EntryValue): string | null {
  const [key = "", parent = ""] = path.toReversed();
  if (!isList(value) || (parent !== "env" && parent !== "headers")) return null;
  return value
    .map((part) => {
      const reference = asReference(part);
      if (reference === null && isHidden(parent, key) && value.length === 1) return HIDDEN;
      if (reference === null) return parent === "headers" ? shownText(String(part), "log") : String(part);
      return reference.startsWith("secret:") ? `\${${reference}}` : reference;
    })
    .join("");
}

/** What approving the entry would do, in a few words without secrets: for the log, events and status. */
export function entrySummary(entry: Omit<WaitingEntry, "runs">): string {
  const { order } = entry.waiting;
  // Only the entry for the order of backends has the part `order`.
  if (order !== undefined && isList(order)) return `servers would come in the order ${order.join(", ")}`;
  const { group, name, kind, approved, waiting, wasOff = false } = entry;
  const noun = { backends: "server ", shares: "share ", aliases: "alias ", sections: "" }[group];
  const whose = group === "sections" ? `[${name}]` : `${noun}${name}`;
  const { touches } = entry;
  const who = wasOff ? `${whose}, which you have switched off,` : whose;
  const connections = connectionsOf(waiting);
  const what = describe(connections);
  if (touches !== undefined) return `${who} would ${MEANINGS[kind]} in ${serversText(touches)}`;
  if (what === "") return `${who} would ${MEANINGS[kind]}`;
  if (approved === null) return `${who} would ${what}`;
  const before = connectionsOf(approved);
  if (describe(before) !== what) return `${who} would ${what} instead`;
  const others = differingKeys(before, connections);
  return `${who} would ${others === "" ? MEANINGS[kind] : `${what} with another ${others}`}`;
}

function serversText(names: readonly string[]): string {
  if (names.length === 0) return "no server that runs now";
  return `${pluralize(names.length, "server")}: ${firstNames(names, String)}`;
}

function connectionsOf({ connection = null, routes = null }: Fields): readonly EntryValue[] {
  if (!isList(routes)) return [connection];
  return routes.map((route) => membersOf(route)["connection"] ?? null);
}

function describe(connections: readonly EntryValue[]): string {
  return connections
    .map(connectionSummary)
    .filter((part) => part !== "")
    .join(", or ");
}

/** The differing keys of connections in the file's spelling: `env, cwd`. */
function differingKeys(before: readonly EntryValue[], after: readonly EntryValue[]): string {
  const keys = after.flatMap((connection, index) => {
    const [one, other] = [membersOf(before[index] ?? null), membersOf(connection)];
    return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
      (key) => !isSameMeaning({ [key]: one[key] ?? null }, { [key]: other[key] ?? null }),
    );
  });
  return [...new Set(keys)].map(snakeCase).join(", ");
}

const MEANINGS = {
  runs: "change what runs",
  approval: "loosen which changes wait",
  sends: "change where a credential goes",
  access: "change who may do what",
  guards: "change what is guarded",
} as const;

function connectionSummary(connection: EntryValue): string {
  const { command, args, url } = membersOf(connection);
  if (typeof url === "string") return `connect to ${shownUrl(url, "log")}`;
  if (typeof command !== "string") return "";
  const texts = args !== undefined && isList(args) ? args.filter((arg) => typeof arg === "string") : [];
  return `run ${[shownCommand(command, "log"), ...shownArguments(command, texts, "log")].join(" ")}`;
}
