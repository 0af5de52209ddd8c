// Rules about servers that a client has outside of their entries: what it denies, asks before, or allows to an agent.
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { type Client, type ClientSurroundings, pathOf } from "./client.ts";
import { pathsAt, valuesAt } from "./client-text.ts";
import type { ForeignServer } from "./entry-keys.ts";

/** A text of a client's file that names a tool of a server, or the server. */
export interface ClientRule {
  readonly file: string;
  readonly written: string;
  /** A tool's name or pattern; `*`: the whole server. */
  readonly tool: string;
  /** `other`: it allows something, or applies to one agent. */
  readonly effect: "deny" | "ask" | "other";
}

/** The rules of a client, as values of its files. */
export interface ClientRules {
  readonly client: Client;
  readonly files: readonly { readonly path: string; readonly values: unknown; readonly isOfAgent: boolean }[];
}

/** Reads the files of a client's rules; those that cannot be read have none. `own`: the client's own file. */
export async function readRules(
  client: Client,
  own: { readonly path: string; readonly values: unknown },
  surroundings: ClientSurroundings,
): Promise<ClientRules> {
  const files = (client.rules?.files ?? []).map(async (pattern) => {
    const isOfAgent = pattern.endsWith("/*");
    const paths = await pathsAt(pathOf(pattern, surroundings).path);
    return Promise.all(paths.map(async (path) => ({ path, values: await valuesAt(path), isOfAgent })));
  });
  return { client, files: [{ ...own, isOfAgent: false }, ...(await Promise.all(files)).flat()] };
}

/** The rules that name the server. */
export function rulesAbout({ client, files }: ClientRules, server: string): readonly ClientRule[] {
  if (client.rules === null) return [];
  const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const [before = "", after = ""] = client.rules.tool.split("T").map(literal);
  // A name with a word before it may be a pattern for all servers: `mcp__*`.
  const all = before.startsWith("S") ? "" : "|\\*";
  const names = `(?:${literal(server)}|${literal(server.replace(/[^A-Za-z0-9_-]/g, "_"))}${all})`;
  const named = before.replace("S", names);
  // Many clients take the name of a server for all of its tools.
  const whole = named.replace(/(?:__|_|:|\/)$/, "");
  const form = `(?:${named}([^\\s"',|()]+)|${whole}(?![\\w/:-]))${after}`;
  const pattern = new RegExp(`(?<![\\w-])${form}`, "g");
  return files.flatMap(({ path: file, values, isOfAgent }) =>
    textsIn(values).flatMap(({ text, at, around }) => {
      // The servers of the file are not rules about them.
      if (client.section.every((key, index) => at[index] === key)) return [];
      const isOther = isOfAgent || at.some((key) => /^(?:agents?|profiles|hooks)$/.test(key));
      return [...text.matchAll(pattern)].map(([written, tool = "*"]) => {
        return { file, written, tool, effect: isOther ? "other" : effectOf([...at, ...around]) };
      });
    }),
  );
}

function effectOf(keys: readonly string[]): ClientRule["effect"] {
  if (keys.some((key) => /^(?:deny|reject|block|false$)|disallow|exclude|disable/i.test(key))) return "deny";
  return keys.some((key) => /^ask$|confirm|prompt/i.test(key)) ? "ask" : "other";
}

interface FoundText {
  readonly text: string;
  /** The keys that lead to it. */
  readonly at: readonly string[];
  /** The value of a key, and what the table around it says to do. */
  readonly around: readonly string[];
}

/** All texts of the values, keys included. */
function textsIn(
  value: unknown,
  at: readonly string[] = [],
  action: readonly string[] = [],
): readonly FoundText[] {
  if (typeof value === "string") return [{ text: value, at, around: action }];
  if (Array.isArray(value)) return value.flatMap((one) => textsIn(one, at, action));
  const own = [objectOf(value)["action"], objectOf(value)["decision"]].filter(
    (one) => typeof one === "string",
  );
  return Object.entries(objectOf(value)).flatMap(([key, inner]) => [
    { text: key, at, around: typeof inner === "object" ? own : [...own, String(inner)] },
    ...textsIn(inner, [...at, key], own.length === 0 ? action : own),
  ]);
}

/** Why the client would not load the server at all, by the lists of its settings; null: it would. */
export function refusedBy(
  { client, files }: ClientRules,
  name: string,
  server: ForeignServer,
): string | null {
  const lists = (key: string) => files.map(({ values }) => objectOf(values)[key]).filter(Array.isArray);
  const { command, args, url } = server;
  // What an administrator has written comes first, and of all rules the first that fits.
  const rule = lists("amp.mcpPermissions")
    .toReversed()
    .flat()
    .map(objectOf)
    .find(({ matches, action }) => isMatched(objectOf(matches), server, action === "reject"));
  if (rule?.["action"] === "reject") return "its amp.mcpPermissions reject it";
  if (client.name !== "claude-code") return null;
  const matches = (entry: unknown): boolean => {
    const { serverName, serverUrl, serverCommand } = objectOf(entry);
    if (typeof serverUrl === "string") return url !== null && fits(serverUrl, url);
    if (Array.isArray(serverCommand)) return serverCommand.join("\0") === [command, ...args].join("\0");
    return serverName === name;
  };
  if (lists("deniedMcpServers").some((list) => list.some(matches))) return "its deniedMcpServers names it";
  const allowed = lists("allowedMcpServers").flat();
  return lists("allowedMcpServers").length > 0 && !allowed.some(matches)
    ? "its allowedMcpServers does not name it"
    : null;
}

/** Whether a rule of Amp means the server. `unread`: the result for a pattern that cannot be read. */
function isMatched(patterns: JsonMembers, { command, args, url }: ForeignServer, unread: boolean): boolean {
  const whole = [command ?? "", ...args].join(" ");
  const texts = new Map([
    ["command", [command ?? "", whole]],
    ["args", [args.join(" ")]],
    ["url", [url ?? ""]],
  ]);
  return Object.entries(patterns).every(([key, pattern]) =>
    [pattern].flat().some((one) => {
      const isRead = typeof one === "string" && !one.startsWith("/") && texts.has(key);
      return isRead ? texts.get(key)?.some((text) => text !== "" && fits(one, text)) : unread;
    }),
  );
}

/** Whether a text fits a pattern in which `*` stands for anything. */
function fits(pattern: string, text: string): boolean {
  const [first = "", ...parts] = pattern.split("*");
  const last = parts.pop();
  if (last === undefined) return text === first;
  let at = text.startsWith(first) ? first.length : Number.POSITIVE_INFINITY;
  for (const part of parts.filter((one) => one !== "")) {
    const found = text.indexOf(part, at);
    at = found === -1 ? Number.POSITIVE_INFINITY : found + part.length;
  }
  return text.endsWith(last) && at + last.length <= text.length;
}
