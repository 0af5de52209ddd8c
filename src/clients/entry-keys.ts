// Reads the entry of a server in any client's form, by tables of the keys that clients give the same meaning.
import type { ConfigTable, ConfigValue } from "../config/edit/edit-value.ts";
import { isObject, type JsonMembers, objectOf, textOrNull } from "../runtime/text/json-object.ts";

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
  /** The sandbox that the client puts the program into; null: none. */
  readonly sandbox: JsonMembers | null;
  /** The settings that a backend has no key for, or whose values were not understood. */
  readonly unknown: JsonMembers;
}

function keys(text: string): readonly string[] {
  return text.split(/\s+/);
}

/** Tables whose members count as the entry's own. Of members of one name, the later table's wins; the entry's own are third. */
const INNER = ["oauth", "auth", "", ...keys("transport requestOptions requestInit anythingllm")];

/** What decides how a server runs. */
const KEYS = {
  program: keys("command cmd executable"),
  address: keys("httpUrl url serverUrl server_url baseUrl base_url uri"),
  folder: keys("cwd working_dir workingDirectory working_directory"),
  on: keys("enabled active isActive"),
  off: keys("disabled quarantined"),
  started: keys("autoStart autostart auto_start start_on_launch startOnLaunch startup"),
  inherited: keys("env_vars env_keys"),
  variables: keys("env environment envs"),
  headers: keys("headers http_headers"),
  token: keys("bearerToken bearer_token api_key"),
  tokenVariable: keys("bearer_token_env_var bearerTokenEnv bearer_token_env"),
  clientId: keys("clientId CLIENT_ID client_id oauthClientId oauth_client_id"),
  clientSecret: keys("clientSecret CLIENT_SECRET client_secret oauthClientSecret oauth_client_secret"),
  scopes: keys("scopes scope"),
  redirect: keys(
    "redirectUri redirect_uri redirectUrl redirect_url callbackUrl oauthRedirectUrl oauth_redirect_url",
  ),
  redirectPort: keys("callbackPort redirectPort redirect_port oauth_callback_port"),
  resource: keys("oauth_resource resource"),
  allowed: keys("enabled_tools enabledTools includeTools include"),
  denied: keys("disabled_tools disabledTools excludeTools suppressedTools exclude"),
  others: keys(
    "args env_http_headers api_key_env api_key_header api_key_format sandboxEnabled available_tools tools",
  ),
};
/** Keys of seconds, or of thousandths of them; null: see `eitherUnit`. */
const LIMITS = [
  ["init", 1, keys("startup_timeout_sec connect_timeout")],
  [
    "init",
    1_000,
    keys("startup_timeout_ms connectionTimeout connectionTimeoutMs connectTimeoutMs initTimeout"),
  ],
  ["call", 1, keys("tool_timeout_sec toolTimeout")],
  ["call", 1_000, keys("requestTimeout requestTimeoutMs timeoutMs timeout_ms")],
  ["call", null, ["timeout"]],
] as const;
const LONGEST = { init: 600, call: 86_400 } as const;

/** One that is left was not understood. */
export const MAPPED: ReadonlySet<string> = new Set(Object.values(KEYS).flat());

/** True for a table that starts or names a server in any client's form. */
export function isServerEntry(value: unknown): value is JsonMembers {
  if (!isObject(value)) return false;
  return isServerEntry(value["transport"]) || [...KEYS.program, ...KEYS.address].some((key) => key in value);
}

export function readForeignEntry(given: JsonMembers): ForeignServer {
  const rest = membersOf(given);
  const type = textOrNull(rest.get("type")) ?? textOrNull(rest.get("transport")) ?? "";
  const take: Take = (keys, read) => {
    let found: ReturnType<typeof read> = null;
    for (const key of keys) {
      const value = rest.has(key) ? read(rest.get(key)) : null;
      if (value !== null) rest.delete(key);
      found ??= value;
    }
    return found;
  };
  // Earlier versions of Zed write the program as a table.
  const table = take(["command"], (value) => (isObject(value) ? value : null));
  const argv = take(KEYS.program, texts);
  const named = take(KEYS.program, textOrNull) ?? textOrNull(table?.["path"]) ?? argv?.[0] ?? null;
  const url = take(KEYS.address, textOrNull)?.trim() ?? null;
  const isAddress = named === null || (url !== null && /http|sse|remote/i.test(type));
  const inherited = fromEnvironment(take(KEYS.inherited, names));
  const settings = settingsOf(take);
  // Each is taken, whatever the others say.
  const on = KEYS.on.map((key) => take([key], flag) ?? true);
  const off = KEYS.off.map((key) => take([key], flag) ?? false);
  const isOn = !on.includes(false) && !off.includes(true);
  const isBoxed = take(["sandboxEnabled"], flag);
  const sandbox = isBoxed === null ? null : take(["sandbox"], (value) => (isObject(value) ? value : null));
  return {
    command: isAddress ? null : named,
    args: [...(argv?.slice(1) ?? []), ...(texts(table?.["args"]) ?? []), ...(take(["args"], texts) ?? [])],
    cwd: take(KEYS.folder, textOrNull),
    url: isAddress ? url : null,
    env: {
      ...variables(table?.["env"]),
      ...inherited,
      ...take(KEYS.variables, (value) =>
        Array.isArray(value) ? (namedValues(value) ?? fromEnvironment(names(value))) : variables(value),
      ),
    },
    headers: headersOf(take),
    // A client that does not start it at once waits for its user to do so.
    enabled: isOn && settings["start"] === undefined,
    settings,
    signIn: signInOf(take),
    sandbox: isBoxed === true ? (sandbox ?? {}) : null,
    unknown: {
      ...Object.fromEntries(rest),
      ...(named === null || url === null ? {} : isAddress ? { command: named } : { url }),
    },
  };
}

/** The members of an entry, with those of its inner tables. */
function membersOf(given: JsonMembers): Map<string, unknown> {
  const members = new Map<string, unknown>();
  for (const key of INNER) {
    const { enabled, ...inner } = key === "" ? given : objectOf(given[key]);
    const isSignIn = key === "oauth" || key === "auth";
    for (const [name, value] of Object.entries(inner)) members.set(name, value);
    if (enabled !== undefined && !isSignIn) members.set("enabled", enabled);
  }
  for (const key of INNER) if (isObject(given[key])) members.delete(key);
  for (const key of ["tools", "toolFilter"]) {
    const filters = objectOf(members.get(key));
    const modes = Object.values(filters).map((one) => objectOf(one)["approval_mode"]);
    // Hermes and OpenClaw have their filters in a table, Codex has there which tools it runs without asking.
    const isAllowed = modes.length > 0 && modes.every((mode) => mode === "approve" || mode === "auto");
    if (!isAllowed && !FILTERS.some((name) => name in filters)) continue;
    members.delete(key);
    if (isAllowed) continue;
    // Hermes ignores `exclude` beside `include`.
    const { exclude, ...others } = filters;
    const rest = others["include"] === undefined && exclude !== undefined ? { ...others, exclude } : others;
    for (const [name, value] of Object.entries(rest)) members.set(name, value);
  }
  return members;
}

const FILTERS = keys("include exclude resources prompts");

type Take = <Value>(keys: readonly string[], read: (value: unknown) => Value | null) => Value | null;

function headersOf(take: Take): Readonly<Record<string, string>> {
  const variable = take(KEYS.tokenVariable, textOrNull);
  const token = take(KEYS.token, textOrNull);
  const named = take(["env_http_headers"], textTable) ?? {};
  // Vibe's variable, with the header and the form for it.
  const keyVariable = take(["api_key_env"], textOrNull);
  const header = take(["api_key_header"], textOrNull) ?? "Authorization";
  const form = take(["api_key_format"], textOrNull) ?? "Bearer {token}";
  return {
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    ...(variable === null ? {} : { Authorization: `Bearer \${${variable}}` }),
    ...(keyVariable === null ? {} : { [header]: form.replaceAll("{token}", () => `\${${keyVariable}}`) }),
    ...Object.fromEntries(Object.entries(named).map(([name, one]) => [name, `\${${one}}`])),
    ...Object.assign({}, ...KEYS.headers.toReversed().map((one) => take([one], textTable))),
  };
}

function signInOf(take: Take): ForeignServer["signIn"] {
  const scopes = take(KEYS.scopes, oneOrMore)?.flatMap((one) => one.split(/\s+/)) ?? [];
  const given = URL.parse(take(KEYS.redirect, textOrNull) ?? "");
  const redirect = /^(?:localhost|127\.0\.0\.1)$/.test(given?.hostname ?? "") ? given : null;
  const port = take(KEYS.redirectPort, positive) ?? (Number(redirect?.port) || null);
  const resource = take(KEYS.resource, textOrNull);
  const id = take(KEYS.clientId, textOrNull);
  // Clients that let their port be chosen send the browser to `localhost`.
  const host = redirect?.hostname ?? (port === null || id === null ? null : "localhost");
  return {
    id,
    secret: take(KEYS.clientSecret, textOrNull),
    others: {
      ...(scopes.length === 0 ? {} : { scopes: scopes.filter((one) => one !== "") }),
      ...(resource === null ? {} : { resource }),
      ...(port === null ? {} : { redirect_port: port }),
      ...(host === "localhost" ? { redirect_host: host } : {}),
    },
  };
}

function settingsOf(take: Take): Readonly<Record<string, ConfigValue>> {
  const timeouts: Record<string, number> = {};
  for (const [name, unit, keys] of LIMITS) {
    const found = unit === null ? take(keys, eitherUnit) : take(keys, positive);
    if (found !== null) timeouts[name] ??= Math.min(Math.max(found / (unit ?? 1), 0.1), LONGEST[name]);
  }
  // Some clients allow all tools by an empty list, others by `*`.
  const listed = take(["available_tools", "tools"], texts) ?? [];
  const some = listed.length === 0 || listed.includes("*") ? null : listed;
  const allow = take(KEYS.allowed, oneOrMore) ?? some;
  const others = (offered: readonly string[], denied: string) =>
    withoutEmpty({ allow: take(offered, flag) === false ? [] : null, deny: take([denied], texts) });
  const filters = {
    tools: withoutEmpty({ allow, deny: take(KEYS.denied, oneOrMore) }),
    resources: others(["resources", "exposeResources"], "disabled_resources"),
    prompts: others(["prompts"], "disabled_prompts"),
  };
  const isLate = KEYS.started.map((key) => take([key], flag)).includes(false);
  const given = Object.entries(filters).filter(([, table]) => Object.keys(table).length > 0);
  return {
    ...(isLate ? { start: "on-demand" } : {}),
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(given.length === 0 ? {} : { filters: Object.fromEntries(given) }),
  };
}

function withoutEmpty({ allow, deny }: Readonly<Record<"allow" | "deny", readonly string[] | null>>) {
  return {
    ...(allow === null ? {} : { allow: [...allow] }),
    ...(deny === null || deny.length === 0 ? {} : { deny: [...deny] }),
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

function positive(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : null;
}

function flag(value: unknown): boolean | null {
  if (value === "true" || value === "false") return value === "true";
  return typeof value === "boolean" ? value : null;
}

/** Accepts numbers and booleans, which some files have without quotes. */
function plainText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : null;
}

/** A list of texts. */
function texts(value: unknown): readonly string[] | null {
  if (!Array.isArray(value)) return null;
  const found = value.map(plainText);
  return found.every((one) => one !== null) ? found : null;
}

function oneOrMore(value: unknown): readonly string[] | null {
  const one = textOrNull(value);
  return one === null ? texts(value) : [one];
}

/** Names of variables: Codex also has each in a table. */
function names(value: unknown): readonly string[] | null {
  return Array.isArray(value) ? texts(value.map((one) => (isObject(one) ? one["name"] : one))) : null;
}

/** A list of `{name, value}`. */
function namedValues(list: readonly unknown[]): Readonly<Record<string, string>> | null {
  const found = list.map(
    (one) => [textOrNull(objectOf(one)["name"]), plainText(objectOf(one)["value"])] as const,
  );
  const read = found.flatMap(([name, value]) =>
    name === null || value === null ? [] : [[name, value] as const],
  );
  return read.length === list.length ? Object.fromEntries(read) : null;
}

function textTable(value: unknown): Readonly<Record<string, string>> | null {
  const found = Array.isArray(value) ? namedValues(value) : variables(value);
  if (found === null) return null;
  const pairs = Object.entries(found).flatMap(([key, one]) => (one === null ? [] : [[key, one] as const]));
  return pairs.length === Object.keys(found).length ? Object.fromEntries(pairs) : null;
}

/** A variable that is null is inherited. */
function variables(value: unknown): Readonly<Record<string, string | null>> | null {
  const found = Object.entries(objectOf(value)).map(([key, one]) => [key, plainText(one), one] as const);
  const isRead = isObject(value) && found.every(([, text, one]) => text !== null || one === null);
  return isRead ? Object.fromEntries(found) : null;
}

/** Variables to inherit by their names; some clients also write `NAME=VALUE`. */
function fromEnvironment(names: readonly string[] | null): Readonly<Record<string, string | null>> | null {
  const pairs = names?.map((name) => /^([^=]*)(?:=(.*))?$/s.exec(name) ?? []);
  return pairs === undefined
    ? null
    : Object.fromEntries(pairs.map(([, name = "", value = null]) => [name, value]));
}
