// What each key of the configuration, and each part of its entries, is guarded by: what others rely on, pinned. A key or
// part that is missing in a list is free, and plain.
import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { accepted } from "../support.ts";
import { EVERYTHING } from "./everything.ts";
import { GROUND } from "./places.ts";

type Modules = {
  readonly schema: Pick<typeof import("../../../src/config/schema/schema.ts"), "SECTIONS">;
  readonly entries: Pick<typeof import("../../../src/config/approval/entries.ts"), "entriesOf">;
  readonly approvals: Pick<
    typeof import("../../../src/config/approval/apply-approvals.ts"),
    "applyApprovals"
  >;
};

/** Names by what guards them. */
type Guards = Readonly<Record<string, string>>;

const KEYS: Guards = {
  "guards, plain":
    "shares.name global.shares_root global.mount_root aliases.share aliases.target_subpath aliases.path " +
    "backends.pin backends.tool_overrides.name backends.tool_overrides.description " +
    "limits.calls_per_second limits.burst limits.calls_in_flight limits.sessions limits.result_mb " +
    "audit.enabled audit.path audit.max_size_mb audit.keep audit.arguments " +
    "audit.redact trust.pin",
  "sends, plain":
    "nas.thunderbolt_host nas.fallback_host nas.username nas.thunderbolt_interface nas.fallback_interface " +
    "nas.only_on shares.nas shares.thunderbolt_host shares.fallback_host shares.username shares.share_name " +
    "shares.thunderbolt_interface shares.fallback_interface shares.only_on shares.thunderbolt_path " +
    "shares.fallback_path backends.auth.type backends.auth.client_id backends.auth.client_name " +
    "backends.auth.scopes backends.auth.redirect_port backends.auth.redirect_host backends.routes.auth.type " +
    "backends.routes.auth.client_id backends.routes.auth.client_name backends.routes.auth.scopes " +
    "backends.routes.auth.redirect_port backends.routes.auth.redirect_host telemetry.traces telemetry.metrics " +
    "telemetry.sample telemetry.interval telemetry.service_name telemetry.prometheus fleet.name " +
    "fleet.servers fleet.export fleet.import fleet.tls_ca",
  "sends, reference":
    "nas.password shares.password backends.auth.client_secret backends.auth.private_key " +
    "backends.routes.auth.client_secret backends.routes.auth.private_key telemetry.metrics_token " +
    "telemetry.headers fleet.credentials",
  "access, plain":
    "shares.allow_other shares.read_only shares.file_mode shares.folder_mode shares.symlinks " +
    "server.host server.port server.public_url server.allowed_origins backends.instances backends.tool_overrides.arguments " +
    "backend_defaults.instances backends.accounts backends.folders backends.filters.tools.allow " +
    "backends.filters.tools.deny backends.filters.resources.allow backends.filters.resources.deny " +
    "backends.filters.prompts.allow backends.filters.prompts.deny conflict_resolution.strategy " +
    "groups.tools groups.backends profiles.users profiles.clients profiles.groups profiles.optimizer " +
    "profiles.scripts scripts.enabled scripts.timeout " +
    "incoming_auth.type incoming_auth.issuer incoming_auth.audience incoming_auth.jwks " +
    "incoming_auth.algorithms incoming_auth.leeway incoming_auth.required_scopes " +
    "incoming_auth.roles_claim incoming_auth.name_claim incoming_auth.keys_max_age " +
    "incoming_auth.users.name incoming_auth.users.roles incoming_auth.scopes " +
    "incoming_auth.required_claims authorization.ask authorization.default_effect authorization.destructive " +
    "authorization.unannotated authorization.policies.effect authorization.policies.roles " +
    "authorization.policies.users authorization.policies.backends incoming_auth.oauth " +
    "incoming_auth.users.old_until " +
    "authorization.policies.resources authorization.policies.methods authorization.policies.annotations " +
    "authorization.policies.arguments",
  "runs, plain":
    "server.management.enabled server.management.allow_commands server.management.allowed_hosts " +
    "backends.package backends.session backends.routes.package backends.routes.session " +
    "backends.type backends.cwd backends.enabled backends.sandbox.kind backends.sandbox.read " +
    "backends.sandbox.write backends.sandbox.network backends.routes.name backends.routes.cwd " +
    "backends.routes.sandbox.kind backends.routes.sandbox.read backends.routes.sandbox.write " +
    "backends.routes.sandbox.network trust.client_folders",
  "runs, program": "backends.command backends.routes.command",
  "runs, arguments": "backends.args backends.routes.args",
  "sends, address":
    "backends.auth.resource backends.routes.auth.resource " +
    "backends.url backends.auth.client_metadata_url backends.auth.issuer backends.routes.url " +
    "backends.routes.auth.client_metadata_url backends.routes.auth.issuer telemetry.endpoint",
  "runs, secret text": "backends.env backends.routes.env backend_defaults.env",
  "sends, secret text": "backends.headers backends.routes.headers",
  "access, reference":
    "incoming_auth.token incoming_auth.users.token incoming_auth.users.old_token server.session_key",
  "approval, plain": "trust.approve",
};

/** Of each entry by its group or section: `connection` is another for a program and for an address. */
const PARTS: Guards = {
  runs:
    "backends.connection backends.later backends.routes backend_defaults.env incoming_auth.management " +
    "trust.clientFolders",
  access:
    "backend_defaults.instances backends.accounts backends.instances backends.folders backends.filters backends.toolOverrides incoming_auth.incomingAuth incoming_auth.host " +
    "incoming_auth.port incoming_auth.publicUrl incoming_auth.allowedOrigins incoming_auth.sessionKey conflict_resolution.conflictResolution groups.groups profiles.profiles " +
    "authorization.authorization scripts.scripts shares.allowOther shares.fileMode shares.folderMode shares.readOnly shares.symlinks",
  guards:
    "shares.name backends.pin aliases.share aliases.targetSubpath aliases.path " +
    "global.sharesRoot global.mountRoot trust.pin limits.limits audit.audit",
  sends:
    "backends.connection backends.routes shares.shareName shares.username shares.password shares.onlyOn " +
    "shares.routes telemetry.telemetry fleet.fleet",
  approval: "trust.approve",
};

/** Sections that wait when nobody knows what was approved, and how they are kept until somebody says. */
const CLOSED = {
  incoming_auth: {
    incomingAuth: { type: "local", users: [] },
    host: "127.0.0.1",
    port: 9001,
    publicUrl: null,
    allowedOrigins: [],
    sessionKey: null,
    management: { enabled: null, allowCommands: false, allowedHosts: [] },
  },
  backend_defaults: { env: null, instances: null },
  groups: { groups: [] },
  profiles: { profiles: [] },
  audit: { audit: null },
  authorization: { authorization: { defaultEffect: "deny", policies: [] } },
  telemetry: { telemetry: null },
  fleet: { fleet: null },
  limits: { limits: DEFAULT_LIMITS },
  trust: { approve: null, clientFolders: null, pin: "block" },
};

/** Loads the modules, each as the source of it that `query` stands for. */
export async function modulesOf(query: string): Promise<Modules> {
  const config = new URL("../../../src/config/", import.meta.url);
  const load = async (path: string) => import(new URL(path + query, config).href);
  return {
    schema: await load("schema/schema.ts"),
    entries: await load("approval/entries.ts"),
    approvals: await load("approval/apply-approvals.ts"),
  };
}

/** Rejects when something is guarded otherwise than the lists say. */
export async function requireGuarded(modules: Modules): Promise<void> {
  assert.deepEqual(keysOf(modules), listed(KEYS));
  const { config } = await accepted(
    `${EVERYTHING.replace("MODE", "all").replace("[server]\n", "$&port = 9001\n")}[groups.few]\ntools = ["*"]\n[[profiles]]\ngroups = ["few"]\n`,
  );
  // A field that no key declares yet.
  const later = { ...config, backends: config.backends.map((backend) => ({ ...backend, later: "x" })) };
  assert.deepEqual(partsOf(modules, later), listed(PARTS));
  assert.deepEqual(closedOf(modules, config), CLOSED);
}

function keysOf({ schema }: Modules): Lists {
  return byGuards(
    schema.SECTIONS.flatMap(({ name, isOpen, keys, keyDoc }) =>
      (isOpen ? ["any"] : keys).map((key) => {
        const { approval, shown } = keyDoc(key);
        return [`${approval}, ${shown}`, isOpen ? name : `${name}.${key}`] as const;
      }),
    ).filter(([guards]) => guards !== "free, plain"),
  );
}

function partsOf({ entries }: Modules, config: MountaineerConfig): Lists {
  return byGuards(
    [...entries.entriesOf(config).values()].flatMap(({ id, parts }) =>
      Object.entries(parts).map(([name, { kind }]) => [kind, `${id.split(".")[0]}.${name}`] as const),
    ),
  );
}

function closedOf({ approvals: outcome }: Modules, file: MountaineerConfig) {
  const approvals = { mode: "all", entries: new Map(), order: [] } as const;
  const { waiting } = outcome.applyApprovals({ file, running: null, approvals, ...GROUND });
  const sections = waiting.filter(({ group }) => group === "sections");
  return Object.fromEntries(sections.map(({ id, approved }) => [id, approved]));
}

type Lists = Readonly<Record<string, readonly string[]>>;

function listed(guards: Guards): Lists {
  return Object.fromEntries(
    Object.entries(guards).map(([guard, names]) => [guard, names.split(" ").toSorted()]),
  );
}

function byGuards(pairs: readonly (readonly [guards: string, name: string])[]): Lists {
  const names = Map.groupBy(pairs, ([guards]) => guards);
  return Object.fromEntries(
    [...names].map(([guards, named]) => [guards, [...new Set(named.map(([, name]) => name))].toSorted()]),
  );
}
