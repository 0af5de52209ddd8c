// A configuration for the engine: checked, complete, in milliseconds and absolute paths, immutable.
import type { SecretReference } from "../secrets/reference.ts";
import type { LimitsConfig } from "./limits.ts";
import type { backendAuthKeys } from "./schema/backend-auth-schema.ts";
import type { groupKeys, optimizerKeys, profileKeys } from "./schema/fewer-tools-schema.ts";
import type { fleetKeys } from "./schema/fleet-schema.ts";
import type {
  auditKeys,
  conflictKeys,
  filterKeys,
  managementKeys,
  sandboxKeys,
  serverKeys,
  toolOverrideKeys,
} from "./schema/gateway-schema.ts";
import type { notifyKeys, syncKeys } from "./schema/schema.ts";
import type { Settled } from "./schema/settled.ts";
import type { aliasKeys, globalKeys } from "./schema/share-schema.ts";
import type { telemetryKeys } from "./schema/telemetry-schema.ts";
import type { trustKeys } from "./schema/trust-schema.ts";
import type { ShareRequirement } from "./values/requirement.ts";
import type { SecretText } from "./values/secret-text.ts";

export type ConfigFormat = "toml" | "yaml";

// Each of these has the keys of its section, as `Settled` says; their meaning is declared with them (`schema/`).
export type GlobalConfig = Settled<typeof globalKeys> & {
  readonly sharesRoot: string;
  readonly mountRoot: string;
};
export type SyncSettings = Settled<typeof syncKeys>;
export type NotifyConfig = Settled<typeof notifyKeys>;
/** The management API and the page at the gateway's address. */
export type ManagementConfig = Settled<typeof managementKeys>;
export type ServerConfig = Settled<typeof serverKeys> & { readonly management: ManagementConfig };
/** What separates a program from the rest of the machine, and what it may use all the same. */
export type SandboxConfig = Settled<typeof sandboxKeys>;
/** How the gateway signs in to a server by OAuth. */
export type BackendAuthConfig = Settled<typeof backendAuthKeys>;
/** Globs over the server's own names (resources: URIs). Deny wins. */
export type NameFilter = Settled<typeof filterKeys.tools>;
/** null: as the server says. */
export type ToolOverride = Settled<typeof toolOverrideKeys>;
export type TrustConfig = Settled<typeof trustKeys>;
export type ConflictConfig = Settled<typeof conflictKeys>;
export type AuditConfig = Omit<Settled<typeof auditKeys>, "enabled" | "arguments" | "path"> & {
  readonly path: string;
  readonly includeArguments: boolean;
};
/** Where traces and metrics go. */
export type TelemetryConfig = Settled<typeof telemetryKeys> & {
  readonly headers: Readonly<Record<string, SecretReference>>;
};
type FleetKeys = Settled<typeof fleetKeys>;
type FleetList = "export" | "import" | "together" | "sessions";
/** Which machine this is among several, and how they reach each other. Absent lists are empty ones. */
export type FleetConfig = Omit<FleetKeys, FleetList> & Partial<Pick<FleetKeys, FleetList>>;
/** Which tools are listed when not all are. */
export type OptimizerConfig = Settled<typeof optimizerKeys>;
/** A part of everything, at an address of its own. */
export type GroupConfig = Settled<typeof groupKeys> & { readonly name: string };
/** What some clients are served; the first match counts. null: no condition, or no change. */
export type ProfileConfig = Settled<typeof profileKeys>;
/** A link to a folder inside a share, at `path`. */
export type AliasConfig = Settled<typeof aliasKeys> & { readonly path: string };

export interface RouteConfig {
  /** A name or address without brackets; null for a route of driver `local` without hosts. */
  readonly host: string | null;
  readonly port: number;
  /** null: the interface whose subnet holds the host. */
  readonly interfaceName: string | null;
  /** Absolute; the folder of this route for driver `local`, else null. */
  readonly folder: string | null;
}

export interface ShareConfig {
  /** In Unicode form NFC. */
  readonly name: string;
  readonly shareName: string;
  readonly username: string;
  /** null: guest. */
  readonly password: SecretReference | null;
  /** `auto` is settled. */
  readonly driver: "rclone" | "netfs" | "cifs" | "local";
  /** The share's own, else that of `[global]`. */
  readonly carry: "auto" | "on" | "off";
  readonly wake: "auto" | "off";
  /** The marks of its networks; empty: any network. */
  readonly onlyOn: readonly string[];
  readonly routes: { readonly tb: RouteConfig; readonly fallback: RouteConfig };
}

export const MANAGEMENT_DEFAULT: ManagementConfig = {
  enabled: null,
  allowCommands: false,
  allowedHosts: [],
};

export interface StdioConnection {
  readonly type: "stdio";
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the short list of variables that every backend gets. */
  readonly env: Readonly<Record<string, SecretText>>;
  /** Absolute. */
  readonly cwd: string;
  /** Present if the file names the folder; absent: it is the user's home folder, the default. */
  readonly cwdGiven?: true;
  /** Absent: none. */
  readonly sandbox?: SandboxConfig;
  /** The only version of MCP that is spoken with it; absent: any that it speaks. */
  readonly protocol?: "2026-07-28";
}

export interface HttpConnection {
  readonly type: "streamable-http";
  readonly url: string;
  readonly headers: Readonly<Record<string, SecretText>>;
  /** Absent: the file has no such section; the defaults hold. */
  readonly auth?: BackendAuthConfig;
  /** As for a program. */
  readonly protocol?: "2026-07-28";
}

/** A backend of another machine, reached through that machine's gateway. */
export interface FleetConnection {
  readonly type: "fleet";
  readonly machine: string;
  /** The name of the backend on that machine. */
  readonly backend: string;
  /** Identifies the daemon there: another daemon is another connection. */
  readonly instance: string;
}

/** One way to a backend's server. */
export interface BackendRoute {
  readonly name: string;
  readonly connection: StdioConnection | HttpConnection;
}

export interface BackendConfig {
  readonly name: string;
  readonly enabled: boolean;
  readonly group: string | null;
  /** The connection of the first route, if there are several. */
  readonly connection: StdioConnection | HttpConnection;
  /** In order of preference; null or absent: `connection` is the only one. */
  readonly routes?: readonly BackendRoute[] | null;
  readonly timeouts: {
    readonly initMs: number;
    /** The time-out for reading one list. */
    readonly listMs: number;
    readonly callMs: number;
  };
  readonly filters: Readonly<Record<"tools" | "resources" | "prompts", NameFilter>>;
  /** Absolute: the only folders that paths in a call may lie in; null or absent: they may lie anywhere. */
  readonly folders?: readonly string[] | null;
  /** By the server's own tool name. */
  readonly toolOverrides: Readonly<Record<string, ToolOverride>>;
  readonly instances: "shared" | "per-client";
  readonly replace: "overlap" | "stop-first";
  /** null: as `[trust]` says. */
  readonly pin: PinMode | null;
  /** Shares that it works on; empty: none. */
  readonly requires: readonly ShareRequirement[];
  /** How long one of them may be away before `whenUnavailable` applies. */
  readonly unavailableAfterMs: number;
  readonly whenUnavailable: "hide" | "stop" | "error";
}

/** A backend that the gateway runs: of the file, or of another machine. */
export type ServedBackend = Omit<BackendConfig, "connection"> & {
  readonly connection: BackendConfig["connection"] | FleetConnection;
};

/** What happens when a server shows something that differs from before. */
export type PinMode = "tell" | "block" | "off";

/** Which changes of the file wait for a person's approval. */
export type ApproveMode = "commands" | "all" | "none";

export interface AuthUser {
  readonly name: string;
  readonly token: SecretReference;
  readonly roles: readonly string[];
}

/** Where the public keys of an issuer are. */
export type SigningKeysPlace =
  /** The issuer's metadata has their address. */
  | { readonly kind: "discovery" }
  | { readonly kind: "address"; readonly url: string }
  /** Absolute. */
  | { readonly kind: "file"; readonly path: string };

/** Tokens that an authorization server signs. */
export interface SignedTokensConfig {
  readonly issuer: string;
  /** null: the gateway's own address. */
  readonly audience: readonly string[] | null;
  readonly keys: SigningKeysPlace;
  readonly algorithms: readonly string[];
  readonly leewayMs: number;
  readonly requiredScopes: readonly string[];
  /** What each claim may be; `*`: anything. */
  readonly requiredClaims: Readonly<Record<string, readonly string[]>>;
  /** Names with dots between; null: none. */
  readonly rolesClaim: string | null;
  /** null: `sub`. */
  readonly nameClaim: string | null;
  /** Roles by scope. */
  readonly scopes: Readonly<Record<string, readonly string[]>>;
  /** How long the last keys are used while newer ones cannot be read. */
  readonly keysMaxAgeMs: number;
}

export type IncomingAuthConfig =
  | { readonly type: "anonymous" }
  | { readonly type: "local"; readonly users: readonly AuthUser[] }
  | {
      readonly type: "jwt" | "oidc";
      /** They may come with a static token instead of a signed one. */
      readonly users: readonly AuthUser[];
      readonly tokens: SignedTokensConfig;
    };

/** What a server says of a tool, in the file's words. */
export type ToolHint = `${"" | "not_"}${"read_only" | "destructive" | "idempotent" | "open_world"}`;

export interface PolicyConfig {
  readonly effect: "allow" | "deny" | "ask";
  /** null: everybody. */
  readonly roles: readonly string[] | null;
  /** Globs over `tool:NAME`, `prompt:NAME`, `resource:URI`, or over the bare name; null: all. */
  readonly resources: readonly string[] | null;
  /** Globs over MCP methods; null: any. */
  readonly methods: readonly string[] | null;
  /** All must be true; null or absent: no condition, and the policy is not limited to tools. */
  readonly annotations?: readonly ToolHint[] | null;
  /** Globs over the values of arguments, by name; all must match. null or absent: no condition. */
  readonly arguments?: Readonly<Record<string, readonly string[]>> | null;
}

export interface AuthorizationConfig {
  readonly defaultEffect: "allow" | "deny";
  /** For destructive tools that would be allowed; absent: "allow". */
  readonly destructive?: "allow" | "ask" | "refuse";
  /** What a tool counts as if its server does not say; absent: "destructive", as in the protocol. */
  readonly unannotated?: "destructive" | "harmless";
  readonly policies: readonly PolicyConfig[];
}

/** The encoding of what is sent; both go over HTTP. */
export type OtlpProtocol = TelemetryConfig["protocol"];

/** The layer under the file. */
export interface LayerConfig {
  readonly revision: number;
  /**
   * The ids of the entries that come from the layer, or have a part of it: a person who edits the file was not shown
   * them.
   */
  readonly brings: readonly string[];
}

export interface MountaineerConfig {
  readonly global: GlobalConfig;
  readonly sync: SyncSettings;
  readonly notify: NotifyConfig;
  /** null: the file has no such section. */
  readonly server: ServerConfig | null;
  /** In the file's order. */
  readonly backends: readonly BackendConfig[];
  readonly conflictResolution: ConflictConfig;
  readonly incomingAuth: IncomingAuthConfig;
  /** null: off. */
  readonly authorization: AuthorizationConfig | null;
  readonly limits: LimitsConfig;
  /** null: off. */
  readonly audit: AuditConfig | null;
  readonly trust: TrustConfig;
  /** null: off. */
  readonly telemetry: TelemetryConfig | null;
  /** null: this machine is in no fleet. */
  readonly fleet: FleetConfig | null;
  readonly optimizer: OptimizerConfig;
  /** In the file's order. */
  readonly groups: readonly GroupConfig[];
  /** In the file's order. */
  readonly profiles: readonly ProfileConfig[];
  /** In the file's order. */
  readonly shares: readonly ShareConfig[];
  /** In the file's order. */
  readonly aliases: readonly AliasConfig[];
  /** The fleet's layer under the file; absent: there is none. */
  readonly layer?: LayerConfig;
}

/** What the gateway reads as the file has it. */
export type GatewaySections = Omit<
  MountaineerConfig,
  "global" | "sync" | "notify" | "fleet" | "shares" | "aliases" | "layer"
>;

/** A warning: no reason to refuse the file. */
export interface ConfigWarning {
  readonly path: string;
  readonly text: string;
  readonly hint: string | null;
}

/** One accepted content of the file. Deeply frozen. */
export interface ConfigSnapshot {
  /** Absolute. */
  readonly path: string;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  readonly format: ConfigFormat;
  readonly config: MountaineerConfig;
  readonly warnings: readonly ConfigWarning[];
}

/** The file's name of a section, or of a key without a unit. */
export function snakeCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Freezes plain objects and arrays all the way down, and returns its argument. */
export function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null && !Object.isFrozen(part)) deepFreeze(part);
  }
  return Object.freeze(value);
}
