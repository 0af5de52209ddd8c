// What one configuration means for every request: authentication, policies, audit and telemetry.
import { isDeepStrictEqual } from "node:util";
import { DEFAULT_LIMITS } from "../../config/limits.ts";
import { SERVER_DEFAULT, type TelemetryConfig } from "../../config/snapshot.ts";
import { accountOf } from "../../secrets/reference.ts";
import type { UserAccount } from "../backends/policy/backend-pool-contract.ts";
import type { Grants } from "../client-sign-in/grants.ts";
import { createAuthentication, createProofs, type Proofs } from "../client-sign-in/signed-authentication.ts";
import { AuditFile } from "../middleware/audit-file.ts";
import type { Authenticator, LocalUsers } from "../middleware/incoming-auth.ts";
import type { createScripts } from "../scripts/scripts.ts";
import type { Measured } from "../telemetry/metric-families.ts";
import type { Telemetry, TelemetryTools } from "../telemetry/telemetry.ts";
import type { GatewayConfig, GatewayOptions, GatewayView, ListenConfig } from "./gateway-contract.ts";
import { mayRunScripts } from "./selection.ts";
import { type ConfiguredKeys, configuredKeys } from "./session-keys.ts";

export interface GatewayRules {
  readonly config: GatewayConfig;
  readonly authentication: Authenticator;
  readonly sessionKeys: ConfiguredKeys;
  /** How principals authenticated. All rules of a gateway share this object. */
  readonly proofs: Proofs;
  /** A reload with the same audit section keeps the object. null: off. */
  readonly auditFile: AuditFile | null;
  /** null: off. */
  readonly telemetry: Telemetry | null;
  /** The code of scripts, which is loaded only if a policy allows scripts; null: none does. */
  readonly createScripts: typeof createScripts | null;
}

export type RulesTools = Pick<
  GatewayOptions,
  "clock" | "logger" | "environment" | "redact" | "listens" | "rotates"
> & {
  /** What users let clients do. Absent: nothing. */
  readonly grants?: Grants;
};

export const NO_GATEWAY: GatewayConfig = {
  server: null,
  backends: [],
  conflictResolution: { strategy: "first-wins" },
  incomingAuth: { type: "anonymous" },
  authorization: null,
  limits: DEFAULT_LIMITS,
  audit: null,
  trust: { approve: null, clientFolders: null, pin: "tell" },
  telemetry: null,
  optimizer: { enabled: false, keepTools: [] },
  scripts: { enabled: false, timeoutMs: 300_000 },
  groups: [],
  profiles: [],
};

/** Ends the parts of `rules` that `others` does not use; null: all of them. */
export async function closeRules(rules: GatewayRules, others: GatewayRules | null): Promise<void> {
  const { authentication, telemetry, auditFile } = rules;
  if (authentication !== others?.authentication) authentication[Symbol.dispose]();
  if (telemetry !== others?.telemetry) await telemetry?.[Symbol.asyncDispose]();
  if (auditFile !== others?.auditFile) await auditFile?.[Symbol.asyncDispose]();
}

/** In lower case; null: clients do not come through a proxy. */
export function publicHostOf({ publicUrl }: ListenConfig): string | null {
  return publicUrl === null ? null : new URL(publicUrl).hostname;
}

/** Keeps the parts of `before` whose sections are the same: token hashes stay, and the audit's file stays open. */
export function createRules(
  config: GatewayConfig,
  before: GatewayRules | null,
  tools: RulesTools,
  telemetry: Telemetry | null = null,
  scripts: GatewayRules["createScripts"] = null,
): GatewayRules {
  const sameAuth = before !== null && isDeepStrictEqual(authOf(before.config), authOf(config));
  const sameFile = before !== null && isDeepStrictEqual(fileOf(before.config), fileOf(config));
  const proofs = before?.proofs ?? createProofs();
  return {
    config,
    telemetry,
    createScripts: scripts,
    proofs,
    sessionKeys: configuredKeys(config.server?.sessionKey ?? [], tools),
    authentication: sameAuth
      ? before.authentication
      : createAuthentication(config.incomingAuth, {
          ...tools,
          server: config.server ?? SERVER_DEFAULT,
          before: before?.authentication ?? null,
          proofs,
        }),
    auditFile: sameFile
      ? before.auditFile
      : config.audit === null
        ? null
        : new AuditFile(config.audit, tools),
  };
}

/** The settings on which the sign-in depends: tokens and documents name the address. */
function authOf({ incomingAuth, server }: GatewayConfig): unknown {
  return [incomingAuth, server?.host, server?.port, server?.publicUrl];
}

function fileOf({ audit }: GatewayConfig): unknown {
  return audit === null ? null : [audit.path, audit.maxSizeBytes, audit.keep];
}

/** Keeps the telemetry of `before` if its section is the same. Loads the code of telemetry only when needed. */
export async function telemetryFor(
  config: TelemetryConfig | null,
  before: GatewayRules,
  tools: TelemetryTools,
): Promise<Telemetry | null> {
  if (config === null) return null;
  if (before.telemetry !== null && isDeepStrictEqual(before.config.telemetry, config))
    return before.telemetry;
  const { Telemetry: Loaded } = await import("../telemetry/telemetry.ts");
  return new Loaded(config, tools);
}

/** Loads the code of scripts only if a policy allows scripts. */
export async function scriptsFor(config: GatewayConfig): Promise<GatewayRules["createScripts"]> {
  if (!mayRunScripts(config)) return null;
  const { createScripts: loaded } = await import("../scripts/scripts.ts");
  return loaded;
}

export function measuredOf({
  sessions,
  inFlight,
  backends,
}: Pick<GatewayView, "sessions" | "inFlight" | "backends">): readonly Measured[] {
  return [
    gauge("mountaineer.sessions", "Sessions of clients.", [{ labels: {}, value: sessions }]),
    gauge("mountaineer.requests.in_flight", "Requests that have no answer yet.", [
      { labels: {}, value: inFlight },
    ]),
    gauge(
      "mountaineer.backend.phase",
      "The phase that each server is in: 1.",
      backends.map(({ name, phase }) => ({ labels: { backend: name, phase }, value: 1 })),
    ),
    {
      ...gauge(
        "mountaineer.backend.restarts",
        "How often each server ended unasked.",
        backends.map(({ name, restarts }) => ({ labels: { backend: name }, value: restarts })),
      ),
      kind: "counter",
    },
  ];
}

/** The users' accounts at servers with one for each. */
export function accountsOf(users: LocalUsers | null, wallMs: number): ReadonlyMap<string, UserAccount> {
  const entries = [...(users?.entries ?? [])].map(([name, { sha256, old }]) => {
    const before = old !== null && old.endsAtMs > wallMs ? accountOf(name, old.sha256) : null;
    return [name, { id: accountOf(name, sha256), before }] as const;
  });
  return new Map(entries);
}

function gauge(name: string, help: string, values: Measured["values"]): Measured {
  return { name, help, kind: "gauge", values };
}
