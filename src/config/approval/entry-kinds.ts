// What each key of the configuration decides, and so in which mode a change of it waits for a person's approval.
import type { ApproveMode } from "../snapshot.ts";

export type EntryKind =
  /** Which program runs, and with what. */
  | "runs"
  /** Which changes wait at all. */
  | "approval"
  /** Where a credential goes. */
  | "sends"
  /** Who may do what. */
  | "access"
  /** What is watched, limited, kept or renamed, and where Mountaineer makes files and links. */
  | "guards";

type KeysByKind = Readonly<Partial<Record<EntryKind | "free", readonly string[]>>>;

/** Of a backend, and of each of its routes. */
const SANDBOX: KeysByKind = { runs: ["kind", "read", "write", "network"] };
const AUTH: KeysByKind = {
  sends: [
    "type",
    "client_id",
    "client_secret",
    "private_key",
    "client_metadata_url",
    "client_name",
    "scopes",
    "issuer",
    "redirect_port",
  ],
};

/** By the section's path; `any`: every key of a section whose keys people choose. `free` waits for nobody. */
const KINDS: Readonly<Record<string, KeysByKind>> = {
  global: {
    guards: ["shares_root", "mount_root"],
    free: [
      "check_interval_secs",
      "network_debounce_ms",
      "connect_timeout_ms",
      "mount_hang_secs",
      "carry",
      "outage_patience_secs",
      "auto_failback",
      "auto_failback_stable_secs",
      "lsof_recheck",
    ],
  },
  sync: { free: ["enabled", "poll_interval", "debounce", "detection", "on_failure"] },
  notify: { free: ["enabled", "failover", "tb_ready", "config_rejected"] },
  "shares.#": {
    sends: [
      "thunderbolt_host",
      "fallback_host",
      "username",
      "share_name",
      "password",
      "thunderbolt_interface",
      "fallback_interface",
      "driver",
      "thunderbolt_path",
      "fallback_path",
    ],
    // Under another name it is the same share.
    free: ["name", "carry"],
  },
  "aliases.#": { guards: ["share", "target_subpath", "path"], free: ["name"] },
  server: { access: ["host", "public_url"], free: ["port", "body_limit_mb", "drain_timeout"] },
  // Who comes in there may be let change what runs.
  "server.management": { runs: ["enabled", "allow_commands", "allowed_hosts"] },
  "backends.*": {
    runs: ["type", "command", "args", "cwd", "enabled"],
    sends: ["url"],
    access: ["folders"],
    guards: ["pin"],
    free: [
      "group",
      "instances",
      "protocol",
      "replace",
      "requires",
      "unavailable_after_secs",
      "when_unavailable",
    ],
  },
  "backends.*.env": { runs: ["any"] },
  "backends.*.sandbox": SANDBOX,
  "backends.*.headers": { sends: ["any"] },
  "backends.*.auth": AUTH,
  // The order decides which of them runs.
  "backends.*.routes.#": { runs: ["name", "command", "args", "cwd"], sends: ["url"] },
  "backends.*.routes.#.env": { runs: ["any"] },
  "backends.*.routes.#.sandbox": SANDBOX,
  "backends.*.routes.#.headers": { sends: ["any"] },
  "backends.*.routes.#.auth": AUTH,
  "backends.*.timeouts": { free: ["init", "cap_fetch", "call"] },
  "backends.*.filters": {},
  "backends.*.filters.tools": { access: ["allow", "deny"] },
  "backends.*.filters.resources": { access: ["allow", "deny"] },
  "backends.*.filters.prompts": { access: ["allow", "deny"] },
  "backends.*.tool_overrides.*": { guards: ["name", "description"] },
  conflict_resolution: { access: ["strategy", "separator", "order", "longest_name"] },
  incoming_auth: {
    access: [
      "type",
      "token",
      "issuer",
      "audience",
      "jwks",
      "algorithms",
      "leeway",
      "required_scopes",
      "roles_claim",
      "name_claim",
      "keys_max_age",
    ],
  },
  "incoming_auth.scopes": { access: ["any"] },
  "incoming_auth.required_claims": { access: ["any"] },
  "incoming_auth.users.#": { access: ["name", "token", "roles"] },
  authorization: { access: ["default_effect", "destructive", "unannotated"] },
  "authorization.policies.#": { access: ["effect", "roles", "resources", "methods", "annotations"] },
  "authorization.policies.#.arguments": { access: ["any"] },
  audit: { guards: ["enabled", "path", "max_size_mb", "keep", "arguments", "redact"] },
  telemetry: {
    sends: [
      "endpoint",
      "protocol",
      "traces",
      "metrics",
      "sample",
      "interval",
      "service_name",
      "prometheus",
      "metrics_token",
    ],
  },
  "telemetry.headers": { sends: ["any"] },
  limits: { guards: ["calls_per_second", "burst", "calls_in_flight", "sessions", "result_mb"] },
  "limits.overrides.#": {
    guards: ["users", "roles", "calls_per_second", "burst", "calls_in_flight", "sessions", "result_mb"],
  },
  fleet: {
    sends: [
      "name",
      "servers",
      "credentials",
      "tls_ca",
      "operator",
      "export",
      "import",
      "together",
      "sessions",
    ],
  },
  optimizer: { free: ["enabled", "keep_tools"] },
  "groups.*": { access: ["tools", "backends"] },
  "profiles.#": { access: ["users", "clients", "groups", "optimizer"] },
  trust: { approval: ["approve"], guards: ["pin"] },
};

/** Of a key in the section with this path (`backends.*`); null: no row tells. */
export function kindOfKey(section: readonly string[], key: string): EntryKind | "free" | null {
  const row = KINDS[section.join(".")];
  if (row === undefined) return null;
  for (const [kind, keys] of Object.entries(row)) {
    // The keys of a row are those of `KeysByKind`.
    if (keys.includes(key) || keys.includes("any")) return kind as EntryKind | "free";
  }
  return null;
}

/** The paths of the sections that the table has. */
export const CLASSIFIED_SECTIONS: readonly string[] = Object.keys(KINDS);

const STRICTNESS: readonly ApproveMode[] = ["none", "commands", "all"];

/** True when `one` lets more wait than `other`, or as much. */
export function isAsStrict(one: ApproveMode, other: ApproveMode): boolean {
  return STRICTNESS.indexOf(one) >= STRICTNESS.indexOf(other);
}

export function stricter(one: ApproveMode, other: ApproveMode): ApproveMode {
  return isAsStrict(one, other) ? one : other;
}

export function waits(kind: EntryKind, mode: ApproveMode): boolean {
  if (mode === "none") return false;
  return mode === "all" || kind === "runs" || kind === "approval";
}
