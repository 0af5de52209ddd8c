// Normalizes the values of the gateway's sections for the engine, and collects warnings.
import { join } from "node:path";
import { type DeclaredBackend, withDefaults } from "../backend-defaults.ts";
import type { HomeContext } from "../home-context.ts";
import { BURST_SECONDS, type PrincipalLimits } from "../limits.ts";
import { literalVariables } from "../literal-secrets.ts";
import type { Normalized } from "../schema/normalized.ts";
import type { BackendFile, ConfigFile, configFile } from "../schema/schema.ts";
import { CLIENT_FOLDER } from "../schema/value-types.ts";
import type {
  AuditConfig,
  ConfigWarning,
  HttpConnection,
  IncomingAuthConfig,
  MountaineerConfig,
  SigningKeysSource,
  StdioConnection,
  TelemetryConfig,
} from "../snapshot.ts";
import { isCredentialHeader, isSecretHeader, isSecretVariable } from "../values/backend-names.ts";
import { hasSecretQuery } from "../values/backend-values.ts";
import { foreignReference } from "../values/foreign-reference.ts";
import { isLoopback } from "../values/host.ts";
import { type KeyPath, pathText, quoted } from "../values/mistakes.ts";
import { expandPath } from "../values/paths.ts";
import { isLiteral, storedParts } from "../values/secret-text.ts";
import { isKeysAddress, SIGNING_ALGORITHMS } from "../values/sign-in-values.ts";

type NormalizedFile = Normalized<typeof configFile.keys>;
type NormalizedBackend = NormalizedFile["backends"][string];
type NormalizedLimits = NormalizedFile["limits"];
/** The keys that backends and routes have in common. */
type Server = Omit<NormalizedBackend["routes"][number], "name">;

/** The empty folder in the home where an instance that no client owns starts. */
const NO_CLIENT = "no-client";

function connection(
  { command, args, env, cwd: own, session, package: whose, sandbox, url, headers, auth }: Server,
  { protocol, folders }: Pick<NormalizedBackend, "protocol" | "folders">,
  { userHome, home }: HomeContext,
): StdioConnection | HttpConnection {
  const spoken = protocol === "auto" ? {} : { protocol };
  // Without `command` there is a `url`: the rules refuse a backend that has neither, or whose `type`
  // contradicts its other keys.
  if (command === null) {
    return {
      type: "streamable-http",
      url: url ?? "",
      headers: headers ?? {},
      ...(auth && { auth }),
      ...spoken,
      ...storedIn("url", [url ?? ""]),
    };
  }
  const isClients = own === CLIENT_FOLDER;
  const cwd = isClients ? join(home, NO_CLIENT) : (own ?? folders?.[0]);
  return {
    type: "stdio",
    command: command.startsWith("~/") ? expandPath(command, userHome) : command,
    args: args ?? [],
    env: env ?? {},
    ...(cwd === undefined ? { cwd: userHome } : { cwd, cwdGiven: true }),
    ...(isClients && { cwdIsClients: true as const }),
    ...(session && { session: true as const }),
    ...(whose && { package: whose }),
    ...(sandbox && { sandbox }),
    ...spoken,
    ...storedIn("args", args ?? []),
  };
}

function storedIn(key: string, texts: readonly string[]): Pick<StdioConnection, "stored"> {
  const references = texts.flatMap(storedParts).filter((part) => typeof part !== "string");
  return references.length === 0 ? {} : { stored: { [key]: references } };
}

function declaredBackend(
  name: string,
  backend: NormalizedBackend,
  homeContext: HomeContext,
): DeclaredBackend {
  const { routes: _routes, timeouts, requires, ...others } = backend;
  // The keys of the connection are split from the backend's own keys.
  const { type, command, args, env, cwd, session, package: _package, sandbox, ...more } = others;
  const { url, headers, auth, protocol, ...own } = more;
  const routes = backend.routes.map((route, index) => ({
    name: route.name ?? `${index + 1}`,
    connection: connection(route, backend, homeContext),
  }));
  const { capFetchMs: listMs, ...waits } = timeouts;
  return {
    ...own,
    name,
    connection: routes[0]?.connection ?? connection(backend, backend, homeContext),
    ...(routes.length === 0 ? {} : { routes }),
    timeouts: { ...waits, listMs },
    requires,
  };
}

function engineAudit(file: NormalizedFile["audit"], homeContext: HomeContext): AuditConfig | null {
  if (file === null || !file.enabled) return null;
  const { enabled: _, arguments: includeArguments, ...given } = file;
  return { ...given, path: given.path ?? defaultAuditPath(homeContext), includeArguments };
}

/** The settings of telemetry; null: it neither sends data nor serves `/metrics`. */
function engineTelemetry(file: NormalizedFile["telemetry"]): TelemetryConfig | null {
  if (file === null || (file.endpoint === null && !file.prometheus)) return null;
  return { ...file, endpoint: file.endpoint?.replace(/\/$/, "") ?? null };
}

export function defaultAuditPath({ home }: Pick<HomeContext, "home">): string {
  return join(home, "audit.jsonl");
}

/** The gateway's sections whose form differs from that in the file. */
export function gatewayConfig(
  file: NormalizedFile,
  homeContext: HomeContext,
): Pick<MountaineerConfig, "backends" | "incomingAuth" | "limits" | "audit" | "telemetry" | "groups"> {
  return {
    backends: Object.entries(file.backends).map(([name, backend]) =>
      withDefaults(declaredBackend(name, backend, homeContext), file.backendDefaults),
    ),
    incomingAuth: incomingAuthConfig(file, homeContext),
    limits: principalLimits(file.limits),
    audit: engineAudit(file.audit, homeContext),
    telemetry: engineTelemetry(file.telemetry),
    groups: Object.entries(file.groups).map(([name, group]) => ({ name, ...group })),
  };
}

/** A connection's keys in the file's form, for a backend or one of its routes. */
type RouteFile = Omit<BackendFile["routes"][number], "name">;

function commandWarnings({ command, args }: RouteFile, at: KeyPath): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  if (command !== undefined && !/[/\\]/.test(command) && /\s/.test(command)) {
    const [program = ""] = command.trim().split(/\s+/);
    // The hint shows only the first word, and only if it is plain: other words, and `TOKEN=…`, may be secrets.
    const suggestion = /^[\w.@-]{1,60}$/.test(program) ? `write \`command = "${program}"\`, and ` : "";
    warnings.push({
      path: pathText([...at, "command"]),
      text: "the whole text is the name of one program, spaces included",
      hint: `${suggestion}put each word after the program into \`args\``,
    });
  }
  for (const [index, argument] of (args ?? []).entries()) {
    if (!argument.startsWith("~/")) continue;
    warnings.push({
      path: pathText([...at, "args", index]),
      text: "no shell reads it: `~` is passed on as it is",
      hint: "write the whole path",
    });
  }
  return warnings;
}

/** Warnings about values that look like secrets; the values are never shown. */
function secretWarnings({ env, headers, url }: RouteFile, at: KeyPath): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  const warn = (path: KeyPath, what: string): void => {
    const hint = "`mountaineer secret set NAME` keeps it, and `${secret:NAME}` stands for it here";
    warnings.push({
      path: pathText(path),
      text: `${what} seems to be a secret, written in the file`,
      hint,
    });
  };
  for (const [name, value] of Object.entries(env ?? {})) {
    if (isSecretVariable(name) && isLiteral(value) && foreignReference(value.join("")) === null)
      warn([...at, "env", name], "the value");
  }
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (isSecretHeader(name) && !isCredentialHeader(name) && isLiteral(value))
      warn([...at, "headers", name], "the value");
  }
  if (url !== undefined && hasSecretQuery(url)) {
    const text = "the address seems to contain a secret, written in the file";
    warnings.push({ path: pathText([...at, "url"]), text, hint: "pass it in `headers`, by reference" });
  }
  return warnings;
}

function policyWarnings(file: ConfigFile): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  for (const [index, policy] of (file.authorization?.policies ?? []).entries()) {
    for (const key of ["roles", "resources", "methods"] as const) {
      if (policy[key]?.length !== 0) continue;
      warnings.push({
        path: `authorization.policies[${index}].${key}`,
        text: "an empty list fits nothing: the policy never applies",
        hint: "remove the key, and the policy fits any",
      });
    }
  }
  return warnings;
}

/** Returns warnings about values in the gateway's sections that are valid but probably an error. */
export function gatewayWarnings(file: ConfigFile): ConfigWarning[] {
  const warnings = Object.entries(file.backends).flatMap(([name, backend]) => {
    const at: KeyPath = ["backends", name];
    const routes = backend.routes.map((route, index) => [route, [...at, "routes", index]] as const);
    return [[backend, at] as const, ...routes].flatMap(([one, path]) => [
      ...commandWarnings(one, path),
      ...secretWarnings(one, path),
    ]);
  });
  const ofDefaults = literalVariables(file.backend_defaults.env ?? {}).map((name) => ({
    path: pathText(["backend_defaults", "env", name]),
    text: "the value looks like a secret, and every server gets it",
    hint: "give it to the servers that need it, in `[backends.NAME.env]`, by reference",
  }));
  return [...warnings, ...ofDefaults, ...policyWarnings(file), ...peopleWarnings(file)];
}

/** Names in policies that are unknown, policies that are missing, tokens in clear, and accounts that users share. */
function peopleWarnings({
  incoming_auth: auth,
  authorization,
  server,
  backends,
}: ConfigFile): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  const warn = (path: string, text: string, hint: string): void => void warnings.push({ path, text, hint });
  const users = auth.token === undefined ? auth.users : [LOCAL_USER, ...auth.users];
  const policies = authorization?.policies ?? [];
  if (authorization?.default_effect === "deny" && policies.length === 0)
    warn("authorization.default_effect", "without a policy, all is denied", "add [[authorization.policies]]");
  const known = {
    roles: auth.type === "local" ? [...users.flatMap(({ roles }) => roles), "fleet"] : null,
    users: auth.type === "local" ? users.map(({ name }) => name) : null,
    backends: Object.keys(backends),
  };
  for (const [index, policy] of policies.entries()) {
    for (const key of ["roles", "users", "backends"] as const) {
      const missing = (policy[key] ?? []).filter(
        (name) => !/[*?[\\]/.test(name) && known[key]?.includes(name) === false && !name.includes("@"),
      );
      if (missing.length === 0) continue;
      const who = `no ${key === "backends" ? "server" : "user"} has ${key === "roles" ? "it" : "this name"}`;
      const names = missing.map(quoted).join(", ");
      warn(`authorization.policies[${index}].${key}`, `${names}: ${who}`, "correct it, or remove it");
    }
  }
  const isOpen =
    server !== undefined && !isLoopback(server.host) && server.public_url?.startsWith("https:") !== true;
  if (isOpen && auth.type !== "anonymous") {
    const hint = "put a proxy with TLS in front, and set `public_url` to its https address";
    warn("server.host", "clients send their tokens unencrypted: anyone on the network can read them", hint);
  }
  if (auth.type === "local" && auth.oauth !== false && server?.session_key !== undefined)
    warn(
      "server.session_key",
      "with it, programs cannot sign in to the gateway: what people allow them is one machine's",
      "set `oauth = false` in [incoming_auth], and give each program a user's token",
    );
  if (users.length < 2 && (auth.type === "local" || auth.type === "anonymous")) return warnings;
  for (const [name, { auth: account }] of Object.entries(backends)) {
    if (account === undefined) continue;
    const hint = "say in [[authorization.policies]] who may use it, with `backends`";
    if (!policies.some((policy) => policy.backends !== undefined))
      warn(pathText(["backends", name, "auth"]), "every user acts with this one account there", hint);
  }
  return warnings;
}

/** The user who signs in with the single `token` of `[incoming_auth]`. */
const LOCAL_USER = { name: "local", roles: ["local"] } as const;

function incomingAuthConfig(
  { incomingAuth, server }: Pick<NormalizedFile, "incomingAuth" | "server">,
  homeContext: HomeContext,
): IncomingAuthConfig {
  const { type, token, users: named, issuer, algorithms, jwks, oauth: isWanted, ...given } = incomingAuth;
  // Grants are one machine's: the next request may come to another.
  const oauth = isWanted && (server?.sessionKey ?? null) === null;
  if (type === "anonymous") return { type };
  const users = token === null ? named : [{ ...LOCAL_USER, token }, ...named];
  if (type === "local") return { type, users, oauth };
  const keys = keysSource(type, jwks ?? "", homeContext);
  // The issuer is never empty here: the rules refuse a file without one.
  const tokens = { ...given, issuer: issuer ?? "", algorithms: algorithms ?? SIGNING_ALGORITHMS, keys };
  return { type, users, tokens };
}

function keysSource(type: "jwt" | "oidc", jwks: string, { userHome }: HomeContext): SigningKeysSource {
  if (type === "oidc") return { kind: "discovery" };
  if (isKeysAddress(jwks)) return { kind: "address", url: jwks };
  return { kind: "file", path: expandPath(jwks, userHome) };
}

function principalLimits(limits: NormalizedLimits): PrincipalLimits {
  const { callsPerSecond: rate, burst, resultBytes, ...counts } = limits;
  return {
    ...counts,
    callsPerSecond: rate === 0 ? null : rate,
    burst: burst ?? Math.max(1, Math.ceil(rate * BURST_SECONDS)),
    resultBytes: resultBytes === 0 ? null : resultBytes,
  };
}
