// The types of a checked configuration: complete, immutable, in milliseconds, bytes and absolute paths.
import type { PrincipalLimits } from "./limits.ts";
import type { Normalized } from "./schema/normalized.ts";
import type { configFile } from "./schema/schema.ts";
import type { fuseKeys } from "./schema/share-schema.ts";
import type { ShareRequirement } from "./values/requirement.ts";
import type { SecretText } from "./values/secret-text.ts";

export type ConfigFormat = "toml" | "yaml";

type NormalizedFile = Normalized<typeof configFile.keys>;
type NormalizedBackend = NormalizedFile["backends"][string];
type NormalizedAuth = NormalizedFile["incomingAuth"];
type Partially<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

// The types of the sections. Their keys are declared in `schema/`.
export type GlobalConfig = NormalizedFile["global"] & {
  readonly sharesRoot: string;
  readonly mountRoot: string;
};
export type SyncSettings = NormalizedFile["sync"];
export type NotifyConfig = NormalizedFile["notify"];
export type ServerConfig = NonNullable<NormalizedFile["server"]>;
/** The management API and the page at the gateway's address. */
export type ManagementConfig = ServerConfig["management"];
/** The sandbox of a program, and the folders that it shows. */
export type SandboxConfig = NonNullable<NormalizedBackend["sandbox"]>;
export type BackendAuthConfig = NonNullable<NormalizedBackend["auth"]>;
/** Globs over the server's own names (for resources, over URIs). `deny` overrides `allow`. */
export type NameFilter = NormalizedBackend["filters"]["tools"];
/** Replaced members of a tool; null: the server's value stays. */
export type ToolOverride = NormalizedBackend["toolOverrides"][string];
export type TrustConfig = NormalizedFile["trust"];
/** What backends have in common; null: the built-in value. */
export type BackendDefaults = NormalizedFile["backendDefaults"];
export type ConflictConfig = NormalizedFile["conflictResolution"];
export type AuditConfig = Omit<NonNullable<NormalizedFile["audit"]>, "enabled" | "arguments" | "path"> & {
  readonly path: string;
  readonly includeArguments: boolean;
};
export type ScriptsConfig = NormalizedFile["scripts"];
export type TelemetryConfig = NonNullable<NormalizedFile["telemetry"]>;
/** This machine's place in a fleet. An absent list is an empty one. */
export type FleetConfig = Partially<
  Omit<NonNullable<NormalizedFile["fleet"]>, "name">,
  "export" | "import"
> & { readonly name: string };
/** A part of the catalog that is served at a separate address. */
export type GroupConfig = NormalizedFile["groups"][string] & { readonly name: string };
/**
 * A profile: the tools for the clients that it matches; the first profile that matches counts. null: no
 * condition on the client, or no change of the tools.
 */
export type ProfileConfig = Omit<NormalizedFile["profiles"][number], "scripts"> & {
  readonly scripts?: boolean | null;
};
/** A link to a folder inside a share, at `path`. */
export type AliasConfig = NormalizedFile["aliases"][number] & { readonly path: string };

export interface RouteConfig {
  /** A name, or an address without brackets; null for a route of driver `local` without hosts. */
  readonly host: string | null;
  readonly port: number;
  /** null: the interface whose subnet holds the host. */
  readonly interfaceName: string | null;
  /** The folder of this route for driver `local`, absolute; null for other drivers. */
  readonly folder: string | null;
}

/** The keys of a share that only mountaineer-fs uses. */
export type MountOptions = Normalized<typeof fuseKeys>;
type NormalizedShare = NormalizedFile["shares"][number];
type RouteKey = `${"thunderbolt" | "fallback"}${"Host" | "Interface" | "Path"}`;

/** The keys of a share, those of its NAS and of `[global]` included. */
export type ShareConfig = Omit<NormalizedShare, RouteKey | "nas" | "driver"> & {
  readonly shareName: string;
  readonly username: string;
  readonly driver: "fs" | "netfs" | "local";
  readonly onRouteChange: "move" | "remount";
  readonly routes: { readonly tb: RouteConfig; readonly fallback: RouteConfig };
};

export const MANAGEMENT_DEFAULT: ManagementConfig = {
  enabled: null,
  allowCommands: false,
  allowedHosts: [],
};

/** What applies if the file has no `[server]`. */
export const SERVER_DEFAULT: ServerConfig = {
  host: "127.0.0.1",
  port: 9000,
  publicUrl: null,
  allowedOrigins: [],
  bodyLimitBytes: 64 * 1024 * 1024,
  drainTimeoutMs: 30_000,
  sessionKey: null,
  management: MANAGEMENT_DEFAULT,
};

export interface StdioConnection {
  readonly type: "stdio";
  readonly command: string;
  readonly args: readonly string[];
  /** Variables of the program, besides the few that every backend gets. */
  readonly env: Readonly<Record<string, SecretText>>;
  /** The working directory, absolute. */
  readonly cwd: string;
  /** True if `cwd` is in the file; absent: it is the default, the user's home folder. */
  readonly cwdGiven?: true;
  /** Each client's instance starts in the client's folder; one that no client owns in `cwd`. */
  readonly cwdIsClients?: true;
  /** The folders in and below which the clients' may be; set with `cwdIsClients` when the gateway is configured. */
  readonly clientFolders?: readonly string[];
  /** It gets the names of the desktop's session that answer when it starts. */
  readonly session?: true;
  /** The plugin or bundle for whose folder `${package}` stands; absent: it comes with none. */
  readonly package?: string;
  /** The sandbox; absent: the program runs without one. */
  readonly sandbox?: SandboxConfig;
  /** The only version of MCP to speak with the server; absent: any. */
  readonly protocol?: "2026-07-28";
  readonly stored?: StoredReferences;
}

/** The references to stored secrets in the texts of an address or of arguments, by key; absent: there are none. */
type StoredReferences = Readonly<Record<string, SecretText>>;

export interface HttpConnection {
  readonly type: "streamable-http";
  readonly url: string;
  readonly headers: Readonly<Record<string, SecretText>>;
  /** The sign-in by OAuth; absent: its defaults. */
  readonly auth?: BackendAuthConfig;
  /** The only version of MCP to speak with the server; absent: any. */
  readonly protocol?: "2026-07-28";
  readonly stored?: StoredReferences;
}

/** A backend of another machine, reached through that machine's gateway. */
export interface FleetConnection {
  readonly type: "fleet";
  readonly machine: string;
  /** The name of the backend on that machine. */
  readonly backend: string;
  /** The id of the daemon on that machine. A new id makes this a different connection. */
  readonly instance: string;
}

export interface BackendRoute {
  readonly name: string;
  readonly connection: StdioConnection | HttpConnection;
}

/** The keys that a backend may leave to `[backend_defaults]`, besides `env` and `timeouts`. */
export type DefaultedKey = "instances" | "start" | "stopWhenIdleMs";

/** The keys that `BackendConfig` declares itself, or that are in its `connection`. */
type BackendKeysElsewhere =
  | keyof NormalizedBackend["routes"][number]
  | DefaultedKey
  | "type"
  | "protocol"
  | "routes"
  | "timeouts"
  | "folders"
  | "accounts"
  | "requires";

export type BackendConfig = Omit<NormalizedBackend, BackendKeysElsewhere> & {
  readonly [Key in DefaultedKey]: NonNullable<NormalizedBackend[Key]>;
} & {
  readonly name: string;
  /** The only connection, or that of the first route. */
  readonly connection: StdioConnection | HttpConnection;
  /** The routes in order of preference; null or absent: `connection` is the only connection. */
  readonly routes?: readonly BackendRoute[] | null;
  readonly timeouts: {
    readonly initMs: number;
    /** The time-out for reading one list. */
    readonly listMs: number;
    readonly callMs: number;
    /** For all requests but tool calls. Absent: `callMs`. */
    readonly otherMs?: number;
  };
  /** The only folders to which paths in a call may lead, absolute; null or absent: any folder. */
  readonly folders?: readonly string[] | null;
  /** `each`: each user has an own instance. Absent, `one`: all share one account. */
  readonly accounts?: NormalizedBackend["accounts"];
  /** The shares that the backend works on; empty: none. */
  readonly requires: readonly ShareRequirement[];
  /** The keys that the file gives this backend itself, of those that may come from the defaults; absent: none. */
  readonly given?: readonly (DefaultedKey | "initMs" | "listMs" | "callMs")[];
  /** The variables of each route that come from `[backend_defaults]`; absent: none. */
  readonly defaultEnv?: readonly (readonly string[])[];
};

/** A backend that the gateway serves, either from the file or from another machine. */
export type ServedBackend = Omit<BackendConfig, "connection" | "given" | "defaultEnv"> & {
  readonly connection: BackendConfig["connection"] | FleetConnection;
  /** True if the file has `timeouts.init`, in the backend's entry or in the defaults. */
  readonly isInitGiven?: boolean;
};

/** The reaction to a server whose tools, prompts, resources or instructions have changed. */
export type PinMode = TrustConfig["pin"];

/** Which changes of the file wait for a person's approval. */
export type ApproveMode = NonNullable<TrustConfig["approve"]>;

/** Absent keys mean the same as null: no earlier token is accepted. */
export type AuthUser = Partially<NormalizedAuth["users"][number], "oldToken" | "oldUntil">;

export type SigningKeysSource =
  /** The issuer's metadata contains the address of the keys. */
  | { readonly kind: "discovery" }
  | { readonly kind: "address"; readonly url: string }
  /** Absolute. */
  | { readonly kind: "file"; readonly path: string };

export type SignedTokensConfig = Omit<NormalizedAuth, "type" | "token" | "users" | "jwks" | "oauth"> & {
  readonly issuer: string;
  readonly algorithms: readonly string[];
  readonly keys: SigningKeysSource;
};

export type IncomingAuthConfig =
  | { readonly type: "anonymous" }
  | {
      readonly type: "local";
      readonly users: readonly AuthUser[];
      /** Whether the gateway itself lets programs sign in by OAuth. Absent: false. */
      readonly oauth?: boolean;
    }
  | {
      readonly type: "jwt" | "oidc";
      /** Users who may sign in with a static token instead of a signed one. */
      readonly users: readonly AuthUser[];
      readonly tokens: SignedTokensConfig;
    };

/** A server's hint about a tool, in the file's words. */
export type ToolHint = `${"" | "not_"}${"read_only" | "destructive" | "idempotent" | "open_world"}`;

type NormalizedAuthorization = NonNullable<NormalizedFile["authorization"]>;
/** An absent key means the same as null: no condition. A policy with `annotations` is limited to tools. */
export type PolicyConfig = Partially<
  NormalizedAuthorization["policies"][number],
  "annotations" | "arguments" | "users" | "backends"
>;

/** Absent keys mean their defaults. */
export type AuthorizationConfig = Partially<
  Omit<NormalizedAuthorization, "policies">,
  "ask" | "destructive" | "unannotated"
> & { readonly policies: readonly PolicyConfig[] };

type Reshaped =
  | "global"
  | "backends"
  | "incomingAuth"
  | "authorization"
  | "limits"
  | "audit"
  | "fleet"
  | "groups"
  | "profiles"
  | "shares"
  | "nas"
  | "aliases";

/** Lists are in the file's order. A section is null if it is absent or disabled in the file. */
export type MountaineerConfig = Omit<NormalizedFile, Reshaped> & {
  readonly global: GlobalConfig;
  readonly backends: readonly BackendConfig[];
  readonly incomingAuth: IncomingAuthConfig;
  readonly authorization: AuthorizationConfig | null;
  readonly limits: PrincipalLimits;
  readonly audit: AuditConfig | null;
  readonly fleet: FleetConfig | null;
  readonly groups: readonly GroupConfig[];
  readonly profiles: readonly ProfileConfig[];
  readonly shares: readonly ShareConfig[];
  /** Each NAS with the names of the shares that have their hosts and login from it; absent: there is none. */
  readonly nas?: Readonly<Record<string, readonly string[]>>;
  readonly aliases: readonly AliasConfig[];
};

/** The name of the NAS from which the share of that name has its hosts and login; null: it has them itself. */
export function nasOf({ nas = {} }: Pick<MountaineerConfig, "nas">, share: string): string | null {
  return Object.keys(nas).find((name) => nas[name]?.includes(share) === true) ?? null;
}

export type GatewaySections = Omit<
  MountaineerConfig,
  "global" | "sync" | "notify" | "fleet" | "shares" | "nas" | "aliases" | "backendDefaults"
>;

export interface ConfigWarning {
  readonly path: string;
  readonly text: string;
  readonly hint: string | null;
}

/** One accepted content of the file. Deeply frozen. */
export interface ConfigSnapshot {
  /** Absolute. */
  readonly path: string;
  /** The hash of the bytes, hexadecimal. */
  readonly sha256: string;
  readonly format: ConfigFormat;
  readonly config: MountaineerConfig;
  readonly warnings: readonly ConfigWarning[];
}

/** The file's spelling of our camelCase name. Wrong for a name with a unit, as the file's unit may differ. */
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
