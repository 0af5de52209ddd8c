// Normalizes the values of the gateway's sections for the engine, and collects warnings.
import { join } from "node:path";
import { BURST_SECONDS, type LimitsConfig, type LimitsOverride, type PrincipalLimits } from "../limits.ts";
import type { ConfigPlace } from "../locate.ts";
import { backendAuthKeys } from "../schema/backend-auth-schema.ts";
import { groupKeys, optimizerKeys, profileKeys } from "../schema/fewer-tools-schema.ts";
import {
  auditKeys,
  backendKeys,
  conflictKeys,
  filterKeys,
  managementKeys,
  sandboxKeys,
  serverKeys,
  toolOverrideKeys,
} from "../schema/gateway-schema.ts";
import { incomingAuthKeys } from "../schema/incoming-auth-schema.ts";
import { authorizationKeys, policyKeys } from "../schema/policy-schema.ts";
import type { BackendFile, ConfigFile } from "../schema/schema.ts";
import { settled } from "../schema/settled.ts";
import { telemetryKeys } from "../schema/telemetry-schema.ts";
import { trustKeys } from "../schema/trust-schema.ts";
import type {
  AuditConfig,
  AuthUser,
  BackendConfig,
  ConfigWarning,
  GatewaySections,
  HttpConnection,
  IncomingAuthConfig,
  PolicyConfig,
  SignedTokensConfig,
  SigningKeysPlace,
  StdioConnection,
  TelemetryConfig,
} from "../snapshot.ts";
import { isCredentialHeader, isSecretHeader, isSecretVariable } from "../values/backend-names.ts";
import { hasSecretQuery } from "../values/backend-values.ts";
import { type KeyPath, pathText } from "../values/mistakes.ts";
import { expandPath } from "../values/paths.ts";
import { requirementOf } from "../values/requirement.ts";
import { isLiteral } from "../values/secret-text.ts";
import { isKeysAddress, SIGNING_ALGORITHMS } from "../values/sign-in-values.ts";

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** Of a backend, or of one of its routes. */
type RouteFile = Omit<BackendFile["routes"][number], "name">;

function connection(
  backend: RouteFile,
  { protocol, folders = [] }: Pick<BackendFile, "protocol" | "folders">,
  place: ConfigPlace,
): StdioConnection | HttpConnection {
  const { command, url, cwd = folders[0] } = backend;
  const spoken = protocol === "auto" ? {} : { protocol };
  // The rules refuse a backend that has neither, or whose type and keys contradict each other.
  if (command === undefined) return { ...httpConnection(backend, url ?? ""), ...spoken };
  return {
    type: "stdio",
    command: command.startsWith("~/") ? expandPath(command, place.userHome) : command,
    args: backend.args ?? [],
    env: backend.env ?? {},
    ...(cwd === undefined
      ? { cwd: place.userHome }
      : { cwd: expandPath(cwd, place.userHome), cwdGiven: true }),
    ...(backend.sandbox === undefined
      ? {}
      : { sandbox: settled(sandboxKeys, backend.sandbox, place.userHome) }),
    ...spoken,
  };
}

function httpConnection({ headers = {}, auth }: RouteFile, url: string): HttpConnection {
  const connection: HttpConnection = { type: "streamable-http", url, headers };
  return auth === undefined ? connection : { ...connection, auth: settled(backendAuthKeys, auth, "") };
}

function engineBackend(name: string, backend: BackendFile, place: ConfigPlace): BackendConfig {
  const { timeouts, filters } = backend;
  const { userHome } = place;
  const routes = backend.routes.map((route, index) => ({
    name: route.name ?? `${index + 1}`,
    connection: connection(route, backend, place),
  }));
  // These belong to the connection.
  const { type, command, args, cwd, url, protocol, ...own } = settled(backendKeys, backend, userHome);
  return {
    ...own,
    name,
    connection: routes[0]?.connection ?? connection(backend, backend, place),
    ...(routes.length === 0 ? {} : { routes }),
    timeouts: {
      initMs: milliseconds(timeouts.init),
      listMs: milliseconds(timeouts.cap_fetch),
      callMs: milliseconds(timeouts.call),
    },
    filters: {
      tools: settled(filterKeys.tools, filters.tools, userHome),
      resources: settled(filterKeys.resources, filters.resources, userHome),
      prompts: settled(filterKeys.prompts, filters.prompts, userHome),
    },
    toolOverrides: Object.fromEntries(
      Object.entries(backend.tool_overrides).map(([tool, override]) => [
        tool,
        settled(toolOverrideKeys, override, userHome),
      ]),
    ),
    requires: backend.requires.map(requirementOf),
  };
}

function enginePolicy(policy: NonNullable<ConfigFile["authorization"]>["policies"][number]): PolicyConfig {
  return { ...settled(policyKeys, policy, ""), arguments: policy.arguments ?? null };
}

function engineAudit(audit: ConfigFile["audit"], place: ConfigPlace): AuditConfig | null {
  if (audit === undefined || !audit.enabled) return null;
  const { enabled: _, arguments: includeArguments, ...given } = settled(auditKeys, audit, place.userHome);
  return { ...given, path: given.path ?? defaultAuditPath(place), includeArguments };
}

/** null: nothing is to be sent or answered. */
function engineTelemetry(file: ConfigFile["telemetry"]): TelemetryConfig | null {
  if (file === undefined || (file.endpoint === undefined && !file.prometheus)) return null;
  const { endpoint, ...given } = settled(telemetryKeys, file, "");
  return { headers: file.headers, ...given, endpoint: endpoint?.replace(/\/$/, "") ?? null };
}

/** Where the audit goes unless the configuration says otherwise, absolute. */
export function defaultAuditPath({ home }: Pick<ConfigPlace, "home">): string {
  return join(home, "audit.jsonl");
}

/** What the gateway's sections of a checked file mean on this machine. */
export function gatewayConfig(file: ConfigFile, place: ConfigPlace): GatewaySections {
  const { server, authorization } = file;
  const { userHome } = place;
  return {
    server:
      server === undefined
        ? null
        : {
            ...settled(serverKeys, server, userHome),
            management: settled(managementKeys, server.management, userHome),
          },
    backends: Object.entries(file.backends).map(([name, backend]) => engineBackend(name, backend, place)),
    conflictResolution: settled(conflictKeys, file.conflict_resolution, userHome),
    incomingAuth: incomingAuthConfig(file.incoming_auth, place),
    authorization:
      authorization === undefined
        ? null
        : {
            ...settled(authorizationKeys, authorization, userHome),
            policies: authorization.policies.map(enginePolicy),
          },
    limits: limitsConfig(file.limits),
    audit: engineAudit(file.audit, place),
    trust: settled(trustKeys, file.trust, userHome),
    telemetry: engineTelemetry(file.telemetry),
    optimizer: settled(optimizerKeys, file.optimizer, userHome),
    groups: Object.entries(file.groups).map(([name, group]) => ({
      name,
      ...settled(groupKeys, group, userHome),
    })),
    profiles: file.profiles.map((profile) => settled(profileKeys, profile, userHome)),
  };
}

function commandWarnings({ command, args }: RouteFile, at: KeyPath): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  if (command !== undefined && !/[/\\]/.test(command) && /\s/.test(command)) {
    const [program = ""] = command.trim().split(/\s+/);
    // Any other word may be a secret; so may the first one, as in `TOKEN=… program`.
    const alone = /^[\w.@-]{1,60}$/.test(program) ? `write \`command = "${program}"\`, and ` : "";
    warnings.push({
      path: pathText([...at, "command"]),
      text: "the whole text is the name of one program, spaces included",
      hint: `${alone}put each word after the program into \`args\``,
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
      text: `${what} seems to be a secret, and stands in the file`,
      hint,
    });
  };
  for (const [name, value] of Object.entries(env ?? {})) {
    if (isSecretVariable(name) && isLiteral(value)) warn([...at, "env", name], "the value");
  }
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (isSecretHeader(name) && !isCredentialHeader(name) && isLiteral(value))
      warn([...at, "headers", name], "the value");
  }
  if (url !== undefined && hasSecretQuery(url)) {
    const text = "the address seems to carry a secret, and stands in the file";
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

/** Warnings about what the gateway's sections allow, but probably do not mean. */
export function gatewayWarnings(file: ConfigFile): ConfigWarning[] {
  const warnings = Object.entries(file.backends).flatMap(([name, backend]) => {
    const at: KeyPath = ["backends", name];
    const routes = backend.routes.map((route, index) => [route, [...at, "routes", index]] as const);
    return [[backend, at] as const, ...routes].flatMap(([one, place]) => [
      ...commandWarnings(one, place),
      ...secretWarnings(one, place),
    ]);
  });
  return [...warnings, ...policyWarnings(file), ...limitsWarnings(file.limits)];
}

type IncomingAuthFile = ConfigFile["incoming_auth"];

/** The user that a token alone in `[incoming_auth]` stands for. */
const LOCAL_USER = { name: "local", roles: ["local"] } as const;

function incomingAuthConfig(file: IncomingAuthFile, place: ConfigPlace): IncomingAuthConfig {
  const { type, token } = file;
  if (type === "anonymous") return { type };
  const users: AuthUser[] = file.users.map((user) => ({
    name: user.name,
    token: user.token,
    roles: user.roles,
  }));
  if (token !== undefined) users.unshift({ ...LOCAL_USER, token });
  return type === "local" ? { type, users } : { type, users, tokens: signedTokens(file, place) };
}

function signedTokens(file: IncomingAuthFile, place: ConfigPlace): SignedTokensConfig {
  const {
    issuer,
    algorithms,
    type: _type,
    token: _token,
    jwks: _jwks,
    ...given
  } = settled(incomingAuthKeys, file, "");
  return {
    ...given,
    // Never empty: the rules refuse a file without an issuer.
    issuer: issuer ?? "",
    keys: keysPlace(file, place),
    algorithms: algorithms ?? SIGNING_ALGORITHMS,
    requiredClaims: file.required_claims,
    scopes: file.scopes,
  };
}

function keysPlace({ type, jwks = "" }: IncomingAuthFile, place: ConfigPlace): SigningKeysPlace {
  if (type === "oidc") return { kind: "discovery" };
  if (isKeysAddress(jwks)) return { kind: "address", url: jwks };
  return { kind: "file", path: expandPath(jwks, place.userHome) };
}

type LimitsFile = ConfigFile["limits"];
type OverrideFile = LimitsFile["overrides"][number];

const MEBIBYTE = 1024 * 1024;

function limitsConfig(limits: LimitsFile): LimitsConfig {
  return { ...principalLimits(limits), overrides: limits.overrides.map((one) => override(one, limits)) };
}

/** Warnings about what the section allows, but probably does not mean. */
function limitsWarnings({ overrides }: LimitsFile): ConfigWarning[] {
  return overrides.flatMap(({ users, roles }, index) =>
    users === undefined && roles === undefined && index < overrides.length - 1
      ? {
          path: `limits.overrides[${index}]`,
          text: "it fits everybody, so that those below it never count",
          hint: "give it `users` or `roles`, or put it last",
        }
      : [],
  );
}

function override(
  { users, roles, ...own }: OverrideFile,
  { overrides: _, ...all }: LimitsFile,
): LimitsOverride {
  // An override with its own rate has its own burst; otherwise the common one applies.
  const burst = own.burst ?? (own.calls_per_second === undefined ? all.burst : undefined);
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return {
    users: users ?? null,
    roles: roles ?? null,
    limits: principalLimits({ ...all, ...given, burst }),
  };
}

function principalLimits(limits: Omit<LimitsFile, "overrides">): PrincipalLimits {
  const { calls_per_second: rate, burst, calls_in_flight, sessions, result_mb } = limits;
  return {
    callsPerSecond: rate === 0 ? null : rate,
    burst: burst ?? Math.max(1, Math.ceil(rate * BURST_SECONDS)),
    callsInFlight: calls_in_flight,
    sessions,
    resultBytes: result_mb === 0 ? null : Math.round(result_mb * MEBIBYTE),
  };
}
