// Reads the entry of a server in any client's form.
import type { ConfigTable, ConfigValue } from "../config/edit/edit-value.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";

/** A server from any client's file, in one common form. Texts keep their placeholders. */
export interface ForeignServer {
  readonly command: string | null;
  readonly args: readonly string[];
  readonly cwd: string | null;
  readonly url: string | null;
  /** null: the backend inherits the variable. */
  readonly env: Readonly<Record<string, string | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly enabled: boolean;
  /** Those settings of the entry that backends also have, by the names of the backends' keys. */
  readonly settings: Readonly<Record<string, ConfigValue>>;
  /** Who the client is to the server's sign-in; as written. */
  readonly signIn: {
    readonly id: string | null;
    readonly secret: string | null;
    readonly others: ConfigTable;
  };
  /** The settings that a backend has no key for, or whose values were not understood. */
  readonly unknown: JsonMembers;
}

/** Keys that a backend does not need. */
const MEANINGLESS = new Set([
  ..."type transport transportType source name bundled oauthPublicClient".split(" "),
  ..."display_name description icon iconPath".split(" "),
]);
const PROGRAM_KEYS = ["command", "cmd"];
const ADDRESS_KEYS = ["httpUrl", "url", "serverUrl", "uri"];

/** True for a table that starts or names a server in any client's form. */
export function isServerEntry(value: unknown): value is JsonMembers {
  if (!isObject(value)) return false;
  const { transport } = value;
  return isServerEntry(transport) || [...PROGRAM_KEYS, ...ADDRESS_KEYS].some((key) => key in value);
}

export function readForeignEntry(given: JsonMembers): ForeignServer {
  const { transport, requestOptions, oauth, auth, ...others } = given;
  const { enabled: _, ...signIn } = { ...objectOf(oauth), ...objectOf(auth) };
  const entry: JsonMembers = {
    ...signIn,
    ...others,
    ...(isObject(transport) ? transport : {}),
    ...(isObject(requestOptions) ? requestOptions : {}),
  };
  const rest = new Map(Object.entries(entry).filter(([key]) => !MEANINGLESS.has(key)));
  const take: Take = (key, read) => {
    const value = rest.has(key) ? read(rest.get(key)) : null;
    if (value !== null) rest.delete(key);
    return value;
  };
  const first: First = (keys, read) => {
    const found = keys.map((key) => take(key, read)).filter((value) => value !== null);
    return found[0] ?? null;
  };
  // Earlier versions of Zed write the program as a table.
  const table = take("command", (value) => (isObject(value) ? value : null));
  const argv = take("command", texts);
  const named = first(PROGRAM_KEYS, text) ?? text(table?.["path"]) ?? argv?.[0] ?? null;
  const url = first(ADDRESS_KEYS, text)?.trim() ?? null;
  const isAddress = named === null || (url !== null && /http|sse|remote/i.test(text(entry["type"]) ?? ""));
  const inherited = first(["env_vars", "env_keys"], texts);
  return {
    command: isAddress ? null : named,
    args: [...(argv?.slice(1) ?? []), ...(texts(table?.["args"]) ?? []), ...(take("args", texts) ?? [])],
    cwd: first(["cwd", "working_dir", "workingDirectory"], text),
    url: isAddress ? url : null,
    env: {
      ...variables(table?.["env"]),
      ...fromEnvironment(inherited),
      ...first(["environment", "envs"], variables),
      ...(take("env", (value) => (Array.isArray(value) ? fromEnvironment(texts(value)) : variables(value))) ??
        {}),
    },
    headers: headersOf(take),
    enabled:
      ["enabled", "active", "isActive"].every((key) => take(key, flag) ?? true) &&
      !["disabled", "quarantined"].some((key) => take(key, flag) ?? false),
    settings: settingsOf(take, first),
    signIn: signInOf(take, first),
    unknown: {
      ...Object.fromEntries(rest),
      ...(named === null || url === null ? {} : isAddress ? { command: named } : { url }),
    },
  };
}

type Take = <Value>(key: string, read: (value: unknown) => Value | null) => Value | null;
type First = <Value>(keys: readonly string[], read: (value: unknown) => Value | null) => Value | null;

function headersOf(take: Take): Readonly<Record<string, string>> {
  const bearer = take("bearer_token_env_var", text);
  const token = take("bearerToken", text);
  const named = take("env_http_headers", textTable) ?? {};
  return {
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    ...(bearer === null ? {} : { Authorization: `Bearer \${${bearer}}` }),
    ...Object.fromEntries(Object.entries(named).map(([header, variable]) => [header, `\${${variable}}`])),
    ...(take("http_headers", textTable) ?? {}),
    ...(take("headers", textTable) ?? {}),
  };
}

function signInOf(take: Take, first: First): ForeignServer["signIn"] {
  const scopes = first(["scopes", "scope"], (value) => texts(value) ?? text(value)?.split(/\s+/) ?? null);
  const port = take("callbackPort", positive);
  return {
    id: first(["clientId", "CLIENT_ID", "client_id", "oauthClientId"], text),
    secret: first(["clientSecret", "CLIENT_SECRET", "client_secret", "oauthClientSecret"], text),
    others: {
      ...(scopes === null || scopes.length === 0 ? {} : { scopes: [...scopes] }),
      ...(port === null ? {} : { redirect_port: port }),
    },
  };
}

const LONGEST = { init: 600, call: 86_400 } as const;

function settingsOf(take: Take, first: First): Readonly<Record<string, ConfigValue>> {
  const seconds = (...keys: readonly string[]): number | null => first(keys, positive);
  const milliseconds = (...keys: readonly string[]): number | null => {
    const value = first(keys, positive);
    return value === null ? null : value / 1_000;
  };
  const init =
    seconds("startup_timeout_sec") ?? milliseconds("startup_timeout_ms", "connectionTimeout", "initTimeout");
  const call =
    seconds("tool_timeout_sec", "toolTimeout") ??
    milliseconds("requestTimeout", "requestTimeoutMs", "timeoutMs", "timeout_ms") ??
    take("timeout", eitherUnit);
  const timeouts = {
    ...(init === null ? {} : { init: within(init, LONGEST.init) }),
    ...(call === null ? {} : { call: within(call, LONGEST.call) }),
  };
  // Some clients allow all tools by an empty list, others by `*`.
  const listed = first(["available_tools", "tools"], texts) ?? [];
  const some = listed.length === 0 || listed.includes("*") ? null : listed;
  const allow = first(["enabled_tools", "enabledTools", "includeTools"], texts) ?? some;
  const deny = first(["disabled_tools", "disabledTools", "excludeTools"], texts) ?? [];
  const tools = {
    ...(allow === null ? {} : { allow: [...allow] }),
    ...(deny.length === 0 ? {} : { deny: [...deny] }),
  };
  return {
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(Object.keys(tools).length === 0 ? {} : { filters: { tools } }),
  };
}

/**
 * Reads a time limit that some clients write in seconds, up to an hour, and others in milliseconds: a number below 5000
 * means seconds, because a limit below five seconds makes no sense.
 */
function eitherUnit(value: unknown): number | null {
  const given = positive(value);
  return given === null || given < 5_000 ? given : given / 1_000;
}

function within(seconds: number, longest: number): number {
  return Math.min(Math.max(seconds, 0.1), longest);
}

function positive(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : null;
}

function flag(value: unknown): boolean | null {
  return typeof value === "boolean" ? value : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Accepts numbers and booleans, which some files have without quotes. */
function plainText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : null;
}

function texts(value: unknown): readonly string[] | null {
  if (!Array.isArray(value)) return null;
  const found = value.map(plainText);
  return found.every((one) => one !== null) ? found : null;
}

function textTable(value: unknown): Readonly<Record<string, string>> | null {
  if (!isObject(value)) return null;
  const found = Object.entries(value).map(([key, one]) => [key, plainText(one)] as const);
  return found.every(([, one]) => one !== null)
    ? Object.fromEntries(found.map(([key, one]) => [key, one ?? ""]))
    : null;
}

/** A variable that is null is inherited. */
function variables(value: unknown): Readonly<Record<string, string | null>> | null {
  const found = Object.entries(objectOf(value)).map(([key, one]) => [key, plainText(one), one] as const);
  const isRead = isObject(value) && found.every(([, text, one]) => text !== null || one === null);
  return isRead ? Object.fromEntries(found) : null;
}

/** Variables to inherit by their names; some clients also write `NAME=VALUE`. */
function fromEnvironment(names: readonly string[] | null): Readonly<Record<string, string | null>> {
  const pairs = (names ?? []).map((name) => /^([^=]*)(?:=(.*))?$/s.exec(name) ?? []);
  return Object.fromEntries(pairs.map(([, name = "", value = null]) => [name, value]));
}
