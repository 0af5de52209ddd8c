// Rules about servers that a client has outside of their entries: what it denies, asks before, or allows to an agent.
import { entryExists } from "../runtime/files/durable-file.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { type Client, type ClientSurroundings, pathOf } from "./client.ts";
import { pathsAt, valuesAt } from "./client-text.ts";
import type { ForeignServer } from "./entry-keys.ts";
import { type ClientRule, type RulesFile, rulesIn } from "./rule-dialects.ts";

/** The rules of a client, as values of its files. */
export interface ClientRules {
  readonly client: Client;
  readonly files: readonly RulesFile[];
  /** The files that exist and cannot be read as rules. */
  readonly unread: readonly string[];
}

/** Reads the files of a client's rules. `own`: the client's own file. */
export async function readRules(
  client: Client,
  own: { readonly path: string; readonly values: unknown },
  surroundings: ClientSurroundings,
): Promise<ClientRules> {
  const files = (client.rules?.files ?? []).map(async (pattern): Promise<readonly RulesFile[]> => {
    const isOfAgent = /agents?\/\*$/.test(pattern);
    const from = pattern.startsWith("/") ? "administrator" : pattern.startsWith(".") ? "project" : "user";
    const paths = await pathsAt(pathOf(pattern, surroundings).path);
    return Promise.all(paths.map(async (path) => ({ path, values: await valuesAt(path), isOfAgent, from })));
  });
  const found = (await Promise.all(files)).flat();
  const exist = await Promise.all(
    found.map(async ({ path, values }) => values === null && (await entryExists(path))),
  );
  return {
    client,
    files: [{ ...own, isOfAgent: false, from: "user" }, ...found],
    unread: found.filter((_, index) => exist[index]).map(({ path }) => path),
  };
}

/** What the rules leave of a server. */
export interface RulesVerdict {
  /** Why the client runs nothing of it; null: it runs some. */
  readonly refusal: string | null;
  /** Denied tools, as names or patterns. */
  readonly denied: readonly string[];
  /** The only tools that it allows or asks about; null: all others. */
  readonly only: readonly string[] | null;
  /** The rules that ask a person, as written. */
  readonly prompting: readonly string[];
  /** The rules whose condition is left out here, as written, each with the condition. */
  readonly widened: readonly string[];
}

/** Follows the rules in the client's order: the first that fits a tool decides. */
export function rulesVerdict(rules: ClientRules, server: string): RulesVerdict {
  const allowed: string[] = [];
  const denied = new Set<string>();
  const prompting: string[] = [];
  const widened: string[] = [];
  const verdict = { denied: [], only: null, prompting, widened };
  for (const { tool, effect, condition, written } of rulesAbout(rules, server)) {
    if (effect === "other" || allowed.some((pattern) => fits(pattern, tool))) continue;
    if (effect === "ask") prompting.push(written);
    if (effect !== "deny" && condition === null) allowed.push(tool);
    if (effect !== "deny") continue;
    if (condition !== null) widened.push(`${written} (${condition})`);
    if (tool !== "*") denied.add(tool);
    else if (condition !== null)
      return { ...verdict, refusal: `a rule denies it on a condition (${condition})` };
    else if (allowed.length === 0) return { ...verdict, refusal: "a rule denies it" };
    else return { ...verdict, refusal: null, denied: [...denied], only: allowed };
  }
  return { ...verdict, refusal: null, denied: [...denied] };
}

/** The rules about the server, in the order in which they decide. */
function rulesAbout({ client, files }: ClientRules, server: string): readonly ClientRule[] {
  if (client.rules === null) return [];
  const { dialect } = client.rules;
  if (dialect === "opencode") return rulesIn(dialect, files, server);
  const found = namingRules(client, client.rules.tool, files, server);
  const first = found.filter(({ effect }) => effect === "deny");
  const others = found.filter(({ effect }) => effect !== "deny");
  return dialect === undefined ? [...first, ...others] : [...first, ...rulesIn(dialect, files, server)];
}

/** The rules in which a text names the server. `toolForm`: how the client calls the tool T of the server S. */
function namingRules(
  client: Client,
  toolForm: string,
  files: readonly RulesFile[],
  server: string,
): readonly ClientRule[] {
  const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const [before = "", after = ""] = toolForm.split("T").map(literal);
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
      const effect = isOther ? "other" : effectOf([...at, ...around]);
      return [...text.matchAll(pattern)].map(([written, tool = "*"]) => {
        return { file, written, tool, effect, condition: null };
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
