// The servers with an account for each user (`accounts = "each"`): each user's is a separate backend, with own instances, lists,
// subscriptions and tasks, from the user's first call on.
import type { BackendRoute, ServedBackend } from "../../../config/snapshot.ts";
import { isUserName, type SecretReference, userSecretName } from "../../../secrets/reference.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientHandle, Principal } from "../../client-handle.ts";
import { BACKEND_UNAVAILABLE, isError, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { UserAccount } from "../policy/backend-pool-contract.ts";
import type { SignInAccount } from "../transports/transport-authorization.ts";
import { Backend } from "./backend.ts";
import type { PoolTools } from "./backend-contract.ts";
import { type ConnectionOutcome, resolveConnection } from "./connection-key.ts";
import { refusal, signInNeeded } from "./refusals.ts";

/** Of one server. Above it, the one that was not used for longest ends. */
const MOST_ACCOUNTS = 64;
const ENDED = "the account has ended here: the user's entry or the server has changed";

interface OwnBackend {
  readonly backend: Backend;
  readonly account: Account;
  usedMs: number;
  /** Requests without an answer, also those that wait for its start. */
  open: number;
}

/** A user's account at one server. */
class Account implements SignInAccount {
  readonly user: string;
  /** null: it has ended, and gets no token. */
  entry: UserAccount | null;

  constructor(user: string, entry: UserAccount) {
    this.user = user;
    this.entry = entry;
  }

  readonly accounts = (): readonly string[] =>
    this.entry === null ? [] : [this.entry.id, ...(this.entry.before === null ? [] : [this.entry.before])];
}

export class AccountBackends {
  readonly #tools: PoolTools;
  /** By server, then by user. */
  readonly #own = new Map<string, Map<string, OwnBackend>>();
  readonly #closing = new Map<Backend, Promise<void>>();
  #configs: ReadonlyMap<string, ServedBackend> = new Map();
  #users: ReadonlyMap<string, UserAccount> = new Map();

  constructor(tools: PoolTools) {
    const { remembered: _lists, routeOverrides: _routes, ...others } = tools;
    this.#tools = { ...others, isOfAccount: true, announce: () => {}, onLog: () => {} };
  }

  /** Also those that are being closed. */
  get all(): readonly Backend[] {
    return [...this.#own.keys().flatMap((name) => this.of(name)), ...this.#closing.keys()];
  }

  /** Of all users, or of one. */
  of(name: string, user: string | null = null): readonly Backend[] {
    const own = [...(this.#own.get(name) ?? [])].filter(([one]) => user === null || one === user);
    return own.map(([, { backend }]) => backend);
  }

  /** What users' instances have listed last, each with its user. */
  get lists(): ReadonlyMap<CatalogSource, string> {
    const all = [...this.#own.values()].flatMap((own) => [...own]);
    const lists = all.map(([user, { backend }]) => [backend.published.last, user] as const);
    return new Map(lists.flatMap(([last, user]) => (last === null ? [] : [[last, user]])));
  }

  /** Ends the accounts of users and servers that are gone, at once. */
  configure(configs: ReadonlyMap<string, ServedBackend>, users: ReadonlyMap<string, UserAccount>): void {
    this.#configs = configs;
    this.#users = users;
    for (const [name, own] of this.#own) {
      const config = configs.get(name);
      for (const [user, one] of own) {
        const entry = users.get(user);
        const [account = ""] = one.account.accounts();
        if (config?.accounts !== "each" || entry === undefined || !isOf(entry, account)) {
          own.delete(user);
          this.#end(one, ENDED);
          continue;
        }
        one.account.entry = entry;
        one.backend.configure(ofAccount(config, entry.id));
      }
    }
  }

  /** Runs the request at the principal's own backend. */
  async run(
    name: string,
    client: ClientHandle,
    declared: JsonObject,
    run: (backend: Backend) => Promise<Reply>,
  ): Promise<Reply> {
    const found = this.#find(name, client.principal);
    if (typeof found === "string") return refusal(found);
    found.open += 1;
    const reply = await run(found.backend).finally(() => {
      found.open -= 1;
    });
    if (!isError(reply) || reply.error.code !== BACKEND_UNAVAILABLE) return reply;
    const notice = this.#tools.signIn?.(name, found.account) ?? null;
    if (notice === null || notice.code === "token_not_renewed") return reply;
    const { user, entry } = found.account;
    const account = entry === null ? null : { backend: name, user, entry: entry.id };
    const at = account === null ? null : await this.#tools.connectAt?.(account, client);
    return signInNeeded(notice, at ?? null, declared);
  }

  /** The principal's own backend. Returns the reason as a text if there can be none. */
  #find(name: string, { user, account }: Principal): OwnBackend | string {
    const config = this.#configs.get(name);
    const entry = user === undefined ? undefined : this.#users.get(user);
    if (config === undefined || user === undefined || entry === undefined || account === undefined)
      return `server ${name} is only for users of the file, each with an own account`;
    // A call of an earlier entry of the same name may have waited, for example for consent.
    if (!isOf(entry, account)) return ENDED;
    const own = this.#own.get(name) ?? new Map<string, OwnBackend>();
    this.#own.set(name, own);
    const usedMs = this.#tools.clock.monotonicMs();
    const known = own.get(user);
    if (known !== undefined) {
      known.usedMs = usedMs;
      return known;
    }
    if (own.size >= MOST_ACCOUNTS && !this.#endUnused(own))
      return `server ${name} runs for ${MOST_ACCOUNTS} users already, which is the limit`;
    const whose = new Account(user, entry);
    const { signIn: _signIn, ...others } = this.#tools;
    const { openTransport } = others;
    const tools: PoolTools = {
      ...others,
      openTransport: (connection, backend, secrets, route, key) =>
        openTransport(connection, backend, secrets, route, key, whose),
    };
    const backend = new Backend(tools, name, ofAccount(config, entry.id));
    const one = { backend, account: whose, usedMs, open: 0 };
    own.set(user, one);
    return one;
  }

  /** The server as the account has it; null: there is none now. */
  connectionOf(name: string, account: string): ConnectionOutcome | null {
    const config = this.#configs.get(name);
    if (config?.accounts !== "each") return null;
    return resolveConnection(ofAccount(config, account).connection, this.#tools.environment);
  }

  /** Calls in flight get the error. */
  close(backend: Backend, message: string): void {
    backend.stop(message);
    const closed = backend.close(message).then(() => {
      this.#closing.delete(backend);
    });
    this.#closing.set(backend, closed);
  }

  #end({ backend, account }: OwnBackend, message: string): void {
    account.entry = null;
    this.close(backend, message);
  }

  #endUnused(own: Map<string, OwnBackend>): boolean {
    const idle = [...own].filter(([, { open }]) => open === 0);
    const [first] = idle.toSorted(([, one], [, other]) => one.usedMs - other.usedMs);
    if (first === undefined) return false;
    const [user, unused] = first;
    own.delete(user);
    this.#end(unused, "this account's instance was ended for another user's");
    return true;
  }
}

function isOf({ id, before }: UserAccount, account: string): boolean {
  return account === id || account === before;
}

/** The server as the account has it: it starts with the first call, and references to a user's secret name this user's. */
export function ofAccount(config: ServedBackend, account: string): ServedBackend {
  const { routes = null, connection } = config;
  const own = <Connection extends ServedBackend["connection"]>(one: Connection): Connection => {
    if ("env" in one) return { ...one, env: namesOf(one.env, account) };
    return "headers" in one ? { ...one, headers: namesOf(one.headers, account) } : one;
  };
  const ofRoute = (route: BackendRoute): BackendRoute => ({ ...route, connection: own(route.connection) });
  return {
    ...config,
    start: "always",
    connection: own(connection),
    ...(routes !== null && { routes: routes.map(ofRoute) }),
  };
}

type Texts = Readonly<Record<string, readonly (string | SecretReference)[]>>;

function namesOf(texts: Texts, account: string): Texts {
  const named = (part: string | SecretReference): string | SecretReference =>
    typeof part !== "string" && part.kind === "stored" && isUserName(part.name)
      ? { ...part, name: userSecretName(part.name, account) }
      : part;
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text.map(named)]));
}
