// A configuration for the engine: checked, complete, in milliseconds and absolute paths, immutable.
import type { SecretReference } from "../secrets/reference.ts";
import type { LimitsConfig } from "./limits.ts";
import type { ShareRequirement } from "./requirement.ts";

export type ConfigFormat = "toml" | "yaml";

export interface GlobalConfig {
  /** Absolute. */
  readonly sharesRoot: string;
  /** Absolute. */
  readonly mountRoot: string;
  readonly checkIntervalMs: number;
  readonly networkDebounceMs: number;
  readonly connectTimeoutMs: number;
  readonly mountHangMs: number;
  /** For shares that say nothing of their own. */
  readonly carry: "auto" | "on" | "off";
  /** How long programs on a carried share wait without a route. */
  readonly outagePatienceMs: number;
  readonly autoFailback: boolean;
  readonly autoFailbackStableMs: number;
  readonly lsofRecheck: boolean;
}

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
  readonly routes: { readonly tb: RouteConfig; readonly fallback: RouteConfig };
}

/** How the configuration file is watched. */
export interface SyncSettings {
  readonly enabled: boolean;
  readonly pollIntervalMs: number;
  readonly debounceMs: number;
  readonly detection: "mtime" | "hash" | "inotify";
  readonly onFailure: "backoff" | "fixed" | "stop";
}

/** What is told on the desktop. */
export interface NotifyConfig {
  /** False: nothing is, whatever the others say. */
  readonly enabled: boolean;
  readonly failover: boolean;
  readonly tbReady: boolean;
  readonly configRejected: boolean;
}

/** The management API and the page at the gateway's address. */
export interface ManagementConfig {
  /** null: only while the gateway listens on loopback. */
  readonly enabled: boolean | null;
  /** Whoever signed in there may change what runs, and approve. */
  readonly allowCommands: boolean;
  /** Names beside the machine's own by which it may be asked for, in lower case. */
  readonly allowedHosts: readonly string[];
}

export const MANAGEMENT_DEFAULT: ManagementConfig = {
  enabled: null,
  allowCommands: false,
  allowedHosts: [],
};

export interface ServerConfig {
  /** A name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** What clients call the endpoint, without a slash at its end; null: as it listens. */
  readonly publicUrl: string | null;
  /** Of one request's body. */
  readonly bodyLimitBytes: number;
  /** How long calls on a removed or replaced backend may go on. */
  readonly drainTimeoutMs: number;
  readonly management: ManagementConfig;
}

/** Text with references to secrets in it: plain parts and references, in order. */
export type SecretText = readonly (string | SecretReference)[];

/** What a program is kept apart by, and what it may use all the same. Paths are absolute. */
export interface SandboxConfig {
  readonly kind: "bubblewrap";
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly network: boolean;
}

export interface StdioConnection {
  readonly type: "stdio";
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the short list of variables that every backend gets. */
  readonly env: Readonly<Record<string, SecretText>>;
  /** Absolute. */
  readonly cwd: string;
  /** The file names the folder; absent: it is the user's home folder, because the file names none. */
  readonly cwdGiven?: true;
  /** Absent: none. */
  readonly sandbox?: SandboxConfig;
  /** The only version of MCP that is spoken with it; absent: whichever it speaks. */
  readonly protocol?: "2026-07-28";
}

export interface HttpConnection {
  readonly type: "streamable-http";
  readonly url: string;
  readonly headers: Readonly<Record<string, SecretText>>;
  /** Absent: the file has no such section; the defaults hold. */
  readonly auth?: BackendAuthConfig;
  /** As of a program. */
  readonly protocol?: "2026-07-28";
}

/** A backend of another machine, reached through that machine's gateway. */
export interface FleetConnection {
  readonly type: "fleet";
  readonly machine: string;
  /** What that machine calls it. */
  readonly backend: string;
  /** Of the daemon there: another one is another connection. */
  readonly instance: string;
}

/** How the gateway signs in to a server by OAuth. */
export interface BackendAuthConfig {
  readonly type: "oauth" | "client-credentials";
  readonly clientId: string | null;
  readonly clientSecret: SecretReference | null;
  readonly privateKey: SecretReference | null;
  readonly clientMetadataUrl: string | null;
  readonly clientName: string;
  /** null: those that the server asks for. */
  readonly scopes: readonly string[] | null;
  /** The only authorization server to sign in at; null: the one that the server names. */
  readonly issuer: string | null;
  /** null: any free one. */
  readonly redirectPort: number | null;
}

/** Globs over the server's own names (resources: URIs). Deny wins. */
export interface NameFilter {
  /** null: all. */
  readonly allow: readonly string[] | null;
  readonly deny: readonly string[];
}

export interface BackendFilters {
  readonly tools: NameFilter;
  readonly resources: NameFilter;
  readonly prompts: NameFilter;
}

/** null: as the server says. */
export interface ToolOverride {
  readonly name: string | null;
  readonly description: string | null;
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
  /** Of the first route, where there are several. */
  readonly connection: StdioConnection | HttpConnection;
  /** In order of preference; null or absent: `connection` is the only one. */
  readonly routes?: readonly BackendRoute[] | null;
  readonly timeouts: {
    readonly initMs: number;
    /** Of reading one list. */
    readonly listMs: number;
    readonly callMs: number;
  };
  readonly filters: BackendFilters;
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

/** One that the gateway runs: of the file, or of another machine. */
export type ServedBackend = Omit<BackendConfig, "connection"> & {
  readonly connection: BackendConfig["connection"] | FleetConnection;
};

/** What happens when a server shows something otherwise than before. */
export type PinMode = "tell" | "block" | "off";

/** Which changes of the file wait for a person's approval. */
export type ApproveMode = "commands" | "all" | "none";

export interface TrustConfig {
  /** null: as the backends reach the home. */
  readonly approve: ApproveMode | null;
  readonly pin: PinMode;
}

export interface ConflictConfig {
  readonly strategy: "first-wins" | "prefix" | "priority" | "error";
  readonly separator: string;
  /** Names of backends, the first wins; those not named follow in the file's order. */
  readonly order: readonly string[];
  /** Of a published tool, characters. */
  readonly longestName: number;
}

export interface AuthUser {
  readonly name: string;
  readonly token: SecretReference;
  readonly roles: readonly string[];
}

/** Where the keys come from that an issuer signs with. */
export type SigningKeysPlace =
  /** The issuer's metadata says where. */
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
  /** How long the last keys are used while there are no newer ones. */
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
  /** null: whoever. */
  readonly roles: readonly string[] | null;
  /** Globs over `tool:NAME`, `prompt:NAME`, `resource:URI`, or over the bare name; null: all. */
  readonly resources: readonly string[] | null;
  /** Globs over MCP methods; null: any. */
  readonly methods: readonly string[] | null;
  /** All must hold; null or absent: whatever, and not only tools. */
  readonly annotations?: readonly ToolHint[] | null;
  /** Globs over the values of arguments, by name, all of which must fit; null or absent: whatever. */
  readonly arguments?: Readonly<Record<string, readonly string[]>> | null;
}

export interface AuthorizationConfig {
  readonly defaultEffect: "allow" | "deny";
  /** For destructive tools that would be allowed; absent: "allow". */
  readonly destructive?: "allow" | "ask" | "refuse";
  /** What a tool counts as whose server does not say; absent: "destructive", as the protocol has it. */
  readonly unannotated?: "destructive" | "harmless";
  readonly policies: readonly PolicyConfig[];
}

export interface AuditConfig {
  /** Absolute. */
  readonly path: string;
  readonly maxSizeBytes: number;
  /** Rotated files that are kept. */
  readonly keep: number;
  readonly includeArguments: boolean;
  /** Globs over argument names whose values are never written. */
  readonly redact: readonly string[];
}

/** How what is sent is encoded; both go by HTTP. */
export type OtlpProtocol = "http/protobuf" | "http/json";

/** Where traces and metrics go. */
export interface TelemetryConfig {
  /** Without a slash at its end; null: nothing is sent. */
  readonly endpoint: string | null;
  readonly protocol: OtlpProtocol;
  readonly headers: Readonly<Record<string, SecretReference>>;
  readonly traces: boolean;
  readonly metrics: boolean;
  /** From 0 to 1. */
  readonly sample: number;
  readonly intervalMs: number;
  readonly serviceName: string;
  readonly prometheus: boolean;
  /** null: `/metrics` is for this machine alone. */
  readonly metricsToken: SecretReference | null;
}

/** Which machine this is among several, and how they reach each other. */
export interface FleetConfig {
  readonly name: string;
  /** `tls://HOST:PORT`, or `nats://HOST:PORT` on loopback. */
  readonly servers: readonly string[];
  /** An nkey's seed, or a text with a JWT and one. */
  readonly credentials: SecretReference;
  /** Absolute; null: the CAs that Node knows. */
  readonly tlsCa: string | null;
  /** `U…`: who signs what all machines have in common; null: nobody's word counts here. */
  readonly operator: string | null;
  /** Backends of this machine that others may use, by name, or `*`; absent: none. */
  readonly export?: readonly string[];
  /** Whose backends are used here: machines, `MACHINE/BACKEND`, or `*`; absent: nobody's. */
  readonly import?: readonly string[];
  /** Of those that are imported: whose tools are one with each other and with those of this machine; absent: nobody's. */
  readonly together?: readonly string[];
  /** Machines that share their clients' sessions with this one, or `*`; absent: none. */
  readonly sessions?: readonly string[];
}

/** Which tools are listed where not all are. */
export interface OptimizerConfig {
  readonly enabled: boolean;
  /** Patterns over published names. */
  readonly keepTools: readonly string[];
}

/** A part of everything, with an address of its own. */
export interface GroupConfig {
  readonly name: string;
  /** Patterns over published names; null: all tools of its backends. */
  readonly tools: readonly string[] | null;
  /** null: those that have one of the tools. */
  readonly backends: readonly string[] | null;
}

/** What some clients are served; the first that fits counts. null: whoever, whatever, as usual. */
export interface ProfileConfig {
  /** Patterns over names and subjects of principals. */
  readonly users: readonly string[] | null;
  /** Patterns over the names that clients give themselves. */
  readonly clients: readonly string[] | null;
  readonly groups: readonly string[] | null;
  readonly optimizer: boolean | null;
}

/** A link to a folder inside a share. */
export interface AliasConfig {
  readonly name: string;
  /** Absolute: where the link is. */
  readonly path: string;
  /** A share's name, as that share spells it. */
  readonly share: string;
  /** From the share's root, without a slash around it; never leads out of it. */
  readonly targetSubpath: string;
}

/** What lies under the file. */
export interface LayerConfig {
  readonly revision: number;
  /** The ids of the entries that are its own, or have a part of it: who edits the file was not shown them. */
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
  /** Of the fleet, under the file; absent: none is. */
  readonly layer?: LayerConfig;
}

/** Worth telling, but no reason to refuse the file. */
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

/** Freezes plain objects and arrays all the way down, and returns its argument. */
export function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null && !Object.isFrozen(part)) deepFreeze(part);
  }
  return Object.freeze(value);
}
