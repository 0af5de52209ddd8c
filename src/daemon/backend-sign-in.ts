// Signs in to the backends of a home, for commands and the page. The gateway reads the stored sign-ins.

import { backendUnknown } from "../api/operations/gateway-names.ts";
import type { BackendSignIn } from "../api/setup/backend-sign-in.ts";
import type { BackendConfig, ServedBackend } from "../config/snapshot.ts";
import { ofAccount } from "../gateway/backends/pool/account-backends.ts";
import { resolveConnection } from "../gateway/backends/pool/connection-key.ts";
import {
  grantFile,
  openGrantStore,
  type StoredAccount,
  storedAccounts,
} from "../gateway/backends/server-sign-in/grant-store.ts";
import { type LoginRequest, signIn, signOut } from "../gateway/backends/server-sign-in/login.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import { isoTimeOrNull, systemClock } from "../runtime/time/clock.ts";
import { missingHint, missingText } from "../secrets/reference.ts";
import { accountsOf } from "../secrets/user-secrets.ts";
import { approvedHome } from "./compose/approved-home.ts";
import { openHome } from "./compose/home.ts";
import { userEntry } from "./compose/home-secrets.ts";
import { signInHome } from "./compose/stored-secrets.ts";

export function openBackendSignIn(options: {
  readonly home: string;
  readonly configPath: string | null;
}): BackendSignIn {
  const { home, configPath } = options;
  const clock = systemClock;
  const environment = process.env;
  const grantsOf = (whose: Pick<Parameters<typeof openGrantStore>[0], "account" | "file"> = {}) =>
    openGrantStore({ ...signInHome({ home, clock, environment }), clock, ...whose });

  /** Forgets the account, and revokes its tokens where the server can. */
  const end = async ({ file, backend }: StoredAccount, server: Server | null, signal: AbortSignal) => {
    const grants = grantsOf({ file });
    await signOut(requestAt(backend, server), { grants, clock, signal });
    await grants.remove(backend);
  };

  const backendsOf = async (signal: AbortSignal) => {
    const { homeContext, snapshot } = await openHome({ home, configPath });
    // Secrets are only sent to approved addresses.
    const {
      approvalStore,
      snapshot: approved,
      values,
    } = await approvedHome({ homeContext, snapshot }, signal);
    const waiting = new Set(approvalStore.waiting.map(({ id }) => id));
    return { config: approved.config, backends: approved.config.backends, values, waiting };
  };

  return {
    async login(order, person, signal) {
      const { config, backends, values, waiting } = await backendsOf(signal);
      requireApproved(order.backend, waiting);
      const { user } = order;
      const shared = find(backends, order.backend);
      const accounts = user === null ? [] : accountsOf(userEntry(config, values, user));
      if (user !== null && shared.accounts !== "each")
        throw unusable(`server ${order.backend} has one account for all`, 'it needs `accounts = "each"`');
      const backend = user === null ? shared : ofAccount(shared, accounts[0] ?? "");
      const grants = grantsOf(user === null ? {} : { account: { user, accounts: () => accounts } });
      const request = { ...order, ...serverOf(backend, values) };
      const grant = await signIn(request, person, { grants, clock, signal });
      return {
        backend: order.backend,
        issuer: grant.issuer,
        scopes: grant.scopes === null ? null : [...grant.scopes],
        expires_at: isoTimeOrNull(grant.expiresAtMs),
        renews_itself: grant.refreshToken !== null,
      };
    },
    async logout(backend, user, signal) {
      const { backends, values } = await backendsOf(signal);
      // A backend that is no longer configured may have left a sign-in.
      const server = issuerOf(backends, values, backend);
      const grants = grantsOf(user === null ? {} : { file: grantFile(backend, user) });
      const out = await signOut(requestAt(backend, server), { grants, clock, signal });
      if (out === null && backends.every(({ name }) => name !== backend)) throw unknown(backend, backends);
      return { backend, was_signed_in: out !== null, revoked: out?.isRevoked ?? false };
    },
    async accountsBefore(signal) {
      const { snapshot } = await openHome({ home, configPath });
      if (!snapshot.config.backends.some(hasAccounts)) return null;
      const { backends, values } = await backendsOf(signal);
      const before = backends
        .filter(hasAccounts)
        .map(({ name }) => [name, issuerOf(backends, values, name)] as const);
      return async () => {
        const after = (await backendsOf(signal)).backends.filter(hasAccounts).map(({ name }) => name);
        const ended = new Map(before.filter(([name]) => !after.includes(name)));
        for (const one of await storedAccounts(home))
          if (ended.has(one.backend)) await end(one, ended.get(one.backend) ?? null, signal);
      };
    },
    async forgetUser(user, signal) {
      const { backends, values } = await backendsOf(signal);
      for (const one of await storedAccounts(home, user))
        await end(one, issuerOf(backends, values, one.backend), signal);
    },
  };
}

const requestAt = (backend: string, server: Server | null) => ({ url: null, auth: null, ...server, backend });

const hasAccounts = ({ accounts }: ServedBackend): boolean => accounts === "each";

/** Where and how tokens of the server are revoked, without headers, which may be users' own; null: it is not configured. */
function issuerOf(backends: readonly Served[], values: Values, backend: string): Server | null {
  const found = backends.find(({ name }) => name === backend);
  if (found === undefined) return null;
  const { connection } = found;
  return serverOrNull(
    "headers" in connection ? { connection: { ...connection, headers: {} } } : found,
    values,
  );
}

type Served = Pick<ServedBackend, "name" | "connection">;
type Values = Parameters<typeof resolveConnection>[1];
type Server = Pick<LoginRequest, "url" | "headers" | "auth">;

function find(backends: readonly BackendConfig[], name: string): BackendConfig {
  const found = backends.find((backend) => backend.name === name);
  if (found === undefined) throw unknown(name, backends);
  return found;
}

function unknown(name: string, backends: readonly BackendConfig[]): MountaineerError {
  return backendUnknown(
    name,
    backends.map((backend) => backend.name),
  );
}

/** Throws if the backend waits for approval, to prevent a sign-in to a server that was not approved. */
function requireApproved(name: string, waiting: ReadonlySet<string>): void {
  const id = `backends.${name}`;
  if (!waiting.has(id)) return;
  throw unusable(
    `server ${name} waits for approval`,
    `review it first: ${shellCommand`mountaineer approve ${id}`}`,
  );
}

function serverOrNull(backend: Pick<Served, "connection">, values: Values): Server | null {
  const outcome = resolveConnection(backend.connection, values);
  if (!outcome.ok || outcome.connection.type !== "streamable-http") return null;
  const { url, headers, auth = null } = outcome.connection;
  const address = URL.parse(url);
  return address === null ? null : { url: address, headers, auth };
}

function serverOf(backend: Served, values: Values): Server {
  const { name, connection } = backend;
  if (connection.type !== "streamable-http") {
    throw unusable(
      `server ${name} is a program`,
      "a program signs in on its own; give it what it needs in `env`",
    );
  }
  const outcome = resolveConnection(connection, values);
  if (!outcome.ok) {
    throw unusable(`server ${name}: ${missingText(outcome.missing)}`, missingHint(outcome.missing));
  }
  if (connection.auth?.type === "client-credentials") {
    throw unusable(`server ${name} signs in as itself`, "its `auth` has type `client-credentials`");
  }
  if (Object.keys(connection.headers).some((header) => header.toLowerCase() === "authorization")) {
    throw unusable(`server ${name} has its own header \`Authorization\``, "remove it, and sign in again");
  }
  const server = serverOrNull(backend, values);
  if (server === null) throw unusable(`server ${name} has no address to sign in at`, "correct its `url`");
  return server;
}

function unusable(message: string, hint: string): MountaineerError {
  return new MountaineerError("sign_in_failed", message, { hint });
}
