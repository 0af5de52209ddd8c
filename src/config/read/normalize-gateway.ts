// Normalizes the values of the gateway's sections for the engine, and collects warnings.
import { join } from "node:path";
import { isCredentialHeader, isSecretHeader, isSecretVariable } from "../backend-names.ts";
import { hasSecretQuery } from "../backend-values.ts";
import type { ConfigPlace } from "../locate.ts";
import { type KeyPath, pathText } from "../mistakes.ts";
import { expandPath } from "../paths.ts";
import { requirementOf } from "../requirement.ts";
import type { BackendFile, ConfigFile } from "../schema/schema.ts";
import { isLiteral } from "../secret-text.ts";
import type {
  AuditConfig,
  BackendConfig,
  ConfigWarning,
  HttpConnection,
  MountaineerConfig,
  NameFilter,
  PolicyConfig,
  ServerConfig,
  StdioConnection,
  ToolOverride,
} from "../snapshot.ts";
import { backendAuth } from "./backend-auth.ts";
import { fewerTools } from "./fewer-tools.ts";
import { incomingAuthConfig } from "./normalize-incoming-auth.ts";
import { limitsConfig, limitsWarnings } from "./normalize-limits.ts";
import { telemetryConfig } from "./normalize-telemetry.ts";
import { engineSandbox } from "./sandbox-rules.ts";

type GatewayConfig = Pick<
  MountaineerConfig,
  | "server"
  | "backends"
  | "conflictResolution"
  | "incomingAuth"
  | "authorization"
  | "limits"
  | "audit"
  | "trust"
  | "telemetry"
  | "optimizer"
  | "groups"
  | "profiles"
>;

const MEBIBYTE = 1024 * 1024;

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

function bytes(mebibytes: number): number {
  return Math.round(mebibytes * MEBIBYTE);
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
  // The rules refuse a backend with neither, and one whose type and keys contradict each other.
  if (command === undefined) return { ...httpConnection(backend, url ?? ""), ...spoken };
  return {
    type: "stdio",
    command: command.startsWith("~/") ? expandPath(command, place.userHome) : command,
    args: backend.args ?? [],
    env: backend.env ?? {},
    ...(cwd === undefined
      ? { cwd: place.userHome }
      : { cwd: expandPath(cwd, place.userHome), cwdGiven: true }),
    ...(backend.sandbox === undefined ? {} : { sandbox: engineSandbox(backend.sandbox, place.userHome) }),
    ...spoken,
  };
}

function httpConnection({ headers = {}, auth }: RouteFile, url: string): HttpConnection {
  const connection: HttpConnection = { type: "streamable-http", url, headers };
  return auth === undefined ? connection : { ...connection, auth: backendAuth(auth) };
}

function nameFilter({ allow, deny }: BackendFile["filters"]["tools"]): NameFilter {
  return { allow: allow ?? null, deny };
}

function toolOverride({ name, description }: BackendFile["tool_overrides"][string]): ToolOverride {
  return { name: name ?? null, description: description ?? null };
}

function engineBackend(name: string, backend: BackendFile, place: ConfigPlace): BackendConfig {
  const { timeouts, filters } = backend;
  const routes = backend.routes.map((route, index) => ({
    name: route.name ?? `${index + 1}`,
    connection: connection(route, backend, place),
  }));
  return {
    name,
    enabled: backend.enabled,
    group: backend.group ?? null,
    connection: routes[0]?.connection ?? connection(backend, backend, place),
    ...(routes.length === 0 ? {} : { routes }),
    timeouts: {
      initMs: milliseconds(timeouts.init),
      listMs: milliseconds(timeouts.cap_fetch),
      callMs: milliseconds(timeouts.call),
    },
    filters: {
      tools: nameFilter(filters.tools),
      resources: nameFilter(filters.resources),
      prompts: nameFilter(filters.prompts),
    },
    folders:
      backend.folders === undefined
        ? null
        : [...new Set(backend.folders.map((folder) => expandPath(folder, place.userHome)))],
    toolOverrides: Object.fromEntries(
      Object.entries(backend.tool_overrides).map(([tool, override]) => [tool, toolOverride(override)]),
    ),
    instances: backend.instances,
    replace: backend.replace,
    pin: backend.pin ?? null,
    requires: backend.requires.map(requirementOf),
    unavailableAfterMs: milliseconds(backend.unavailable_after_secs),
    whenUnavailable: backend.when_unavailable,
  };
}

function engineServer(server: ConfigFile["server"]): ServerConfig | null {
  if (server === undefined) return null;
  return {
    host: server.host,
    port: server.port,
    publicUrl: server.public_url ?? null,
    bodyLimitBytes: bytes(server.body_limit_mb),
    drainTimeoutMs: milliseconds(server.drain_timeout),
    management: {
      enabled: server.management.enabled ?? null,
      allowCommands: server.management.allow_commands,
      allowedHosts: server.management.allowed_hosts,
    },
  };
}

function enginePolicy(policy: NonNullable<ConfigFile["authorization"]>["policies"][number]): PolicyConfig {
  const { effect, roles = null, resources = null, methods = null, annotations = null } = policy;
  return { effect, roles, resources, methods, annotations, arguments: policy.arguments ?? null };
}

function engineAudit(audit: ConfigFile["audit"], place: ConfigPlace): AuditConfig | null {
  if (audit === undefined || !audit.enabled) return null;
  return {
    path: audit.path === undefined ? defaultAuditPath(place) : expandPath(audit.path, place.userHome),
    maxSizeBytes: bytes(audit.max_size_mb),
    keep: audit.keep,
    includeArguments: audit.arguments,
    redact: audit.redact,
  };
}

/** Where the audit goes unless the configuration says otherwise, absolute. */
export function defaultAuditPath({ home }: Pick<ConfigPlace, "home">): string {
  return join(home, "audit.jsonl");
}

/** What the gateway's sections of a checked file mean on this machine. */
export function gatewayConfig(file: ConfigFile, place: ConfigPlace): GatewayConfig {
  const { conflict_resolution: conflict, authorization } = file;
  return {
    server: engineServer(file.server),
    backends: Object.entries(file.backends).map(([name, backend]) => engineBackend(name, backend, place)),
    conflictResolution: {
      strategy: conflict.strategy,
      separator: conflict.separator,
      order: conflict.order,
      longestName: conflict.longest_name,
    },
    incomingAuth: incomingAuthConfig(file.incoming_auth, place),
    authorization:
      authorization === undefined
        ? null
        : {
            defaultEffect: authorization.default_effect,
            destructive: authorization.destructive,
            unannotated: authorization.unannotated,
            policies: authorization.policies.map(enginePolicy),
          },
    limits: limitsConfig(file.limits),
    audit: engineAudit(file.audit, place),
    trust: { approve: file.trust.approve ?? null, pin: file.trust.pin },
    telemetry: telemetryConfig(file.telemetry),
    ...fewerTools(file),
  };
}

function commandWarnings({ command, args }: RouteFile, at: KeyPath): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  if (command !== undefined && !/[/\\]/.test(command) && /\s/.test(command)) {
    const [program = ""] = command.trim().split(/\s+/);
    // Any other word may be a secret, and so may the first in `TOKEN=… program`.
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

/** Values that look like secrets; what they are is never said. */
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

/** What the gateway's sections allow, but probably do not mean. */
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
