// Finds all references to secrets in a configuration.
import type { SecretReference } from "../../secrets/reference.ts";
import { routesOf } from "../backend-routes.ts";
import {
  type BackendConfig,
  type ConfigSnapshot,
  deepFreeze,
  type MountaineerConfig,
  type SecretText,
  type TelemetryConfig,
} from "../snapshot.ts";

interface SecretUse {
  readonly reference: SecretReference;
  /** "share CORE", "backend files (env TOKEN)", "user ann". */
  readonly usedBy: string;
}

/** In the order of shares, backends, users, telemetry, fleet. */
export function secretUses({
  shares,
  backends,
  incomingAuth,
  telemetry,
  fleet,
}: MountaineerConfig): readonly SecretUse[] {
  const uses: SecretUse[] = [];
  for (const { name, password } of shares) {
    if (password !== null) uses.push({ reference: password, usedBy: `share ${name}` });
  }
  const routes = backends.flatMap((backend) =>
    routesOf(backend).map(({ connection }) => ({ name: backend.name, connection })),
  );
  for (const { name, connection } of routes) {
    const [texts, what] =
      connection.type === "stdio" ? [connection.env, "env"] : [connection.headers, "headers"];
    for (const [key, parts] of Object.entries(texts)) {
      for (const part of parts) {
        if (typeof part !== "string")
          uses.push({ reference: part, usedBy: `backend ${name} (${what} ${key})` });
      }
    }
    if (connection.type === "stdio" || connection.auth === undefined) continue;
    const { clientSecret, privateKey } = connection.auth;
    if (clientSecret !== null)
      uses.push({ reference: clientSecret, usedBy: `backend ${name} (client_secret)` });
    if (privateKey !== null) uses.push({ reference: privateKey, usedBy: `backend ${name} (private_key)` });
  }
  if (incomingAuth.type !== "anonymous") {
    for (const { name, token } of incomingAuth.users) uses.push({ reference: token, usedBy: `user ${name}` });
  }
  if (telemetry !== null) {
    for (const [name, reference] of Object.entries(telemetry.headers)) {
      uses.push({ reference, usedBy: `telemetry (headers ${name})` });
    }
    if (telemetry.metricsToken !== null) {
      uses.push({ reference: telemetry.metricsToken, usedBy: "telemetry (metrics_token)" });
    }
  }
  if (fleet !== null) uses.push({ reference: fleet.credentials, usedBy: "fleet" });
  return uses;
}

/** The names of the stored secrets that a configuration refers to, each once. */
export function storedSecretNames(config: MountaineerConfig): readonly string[] {
  const names = new Set<string>();
  for (const { reference } of secretUses(config)) if (reference.kind === "stored") names.add(reference.name);
  return [...names];
}

/** The same configuration with each stored secret's revision in its references; itself when it has none. */
export function withRevisions(
  snapshot: ConfigSnapshot,
  revisionOf: (name: string) => number,
): ConfigSnapshot {
  const { config } = snapshot;
  if (storedSecretNames(config).length === 0) return snapshot;
  const stamped = (reference: SecretReference): SecretReference =>
    reference.kind === "stored" ? { ...reference, revision: revisionOf(reference.name) } : reference;
  // What refers to none stays the same object: whatever differs is a change to whoever compares.
  const ofTexts = (texts: Readonly<Record<string, SecretText>>): Readonly<Record<string, SecretText>> => {
    if (!Object.values(texts).some((parts) => parts.some(isStored))) return texts;
    const made: Record<string, SecretText> = Object.create(Object.getPrototypeOf(texts));
    for (const [key, parts] of Object.entries(texts)) {
      const value = parts.map((part) => (typeof part === "string" ? part : stamped(part)));
      // A variable may be called `__proto__`.
      Object.defineProperty(made, key, { value, enumerable: true });
    }
    return made;
  };
  const ofConnection = (connection: BackendConfig["connection"]): BackendConfig["connection"] => {
    if (connection.type === "stdio") return { ...connection, env: ofTexts(connection.env) };
    const headers = ofTexts(connection.headers);
    const { auth } = connection;
    if (auth === undefined) return { ...connection, headers };
    const stampedOrNull = (reference: SecretReference | null): SecretReference | null =>
      reference === null ? null : stamped(reference);
    const clientSecret = stampedOrNull(auth.clientSecret);
    return {
      ...connection,
      headers,
      auth: { ...auth, clientSecret, privateKey: stampedOrNull(auth.privateKey) },
    };
  };
  const ofRoutes = (routes: BackendConfig["routes"]): Pick<BackendConfig, "routes"> =>
    routes ? { routes: routes.map((one) => ({ ...one, connection: ofConnection(one.connection) })) } : {};
  return deepFreeze({
    ...snapshot,
    config: {
      ...config,
      shares: config.shares.map((share) => ({
        ...share,
        password: share.password === null ? null : stamped(share.password),
      })),
      backends: config.backends.map((backend) => ({
        ...backend,
        connection: ofConnection(backend.connection),
        ...ofRoutes(backend.routes),
      })),
      incomingAuth:
        config.incomingAuth.type !== "anonymous"
          ? {
              ...config.incomingAuth,
              users: config.incomingAuth.users.map((user) => ({ ...user, token: stamped(user.token) })),
            }
          : config.incomingAuth,
      telemetry: stampedTelemetry(config.telemetry, stamped),
      fleet:
        config.fleet === null ? null : { ...config.fleet, credentials: stamped(config.fleet.credentials) },
    },
  });
}

function stampedTelemetry(
  telemetry: TelemetryConfig | null,
  stamped: (reference: SecretReference) => SecretReference,
): TelemetryConfig | null {
  if (telemetry === null) return null;
  const { headers, metricsToken } = telemetry;
  const entries = Object.entries(headers).map(([name, reference]) => [name, stamped(reference)] as const);
  return {
    ...telemetry,
    headers: Object.fromEntries(entries),
    metricsToken: metricsToken === null ? null : stamped(metricsToken),
  };
}

function isStored(part: string | SecretReference): boolean {
  return typeof part !== "string" && part.kind === "stored";
}
