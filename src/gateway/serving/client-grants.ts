// The grants of clients, and the authorization server that issues them. Its code is loaded with the first request to it.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { isoTime, type Timer } from "../../runtime/time/clock.ts";
import type { AccountEntry, BeginSignIn } from "../authorization-server/account-sign-ins.ts";
import type { AuthorizationServer } from "../authorization-server/authorization-server.ts";
import type { ServerAccess } from "../authorization-server/consent-pages.ts";
import type { ClientHandle, Principal } from "../client-handle.ts";
import { isOfEntry } from "../client-sign-in/granted-access.ts";
import { type Grant, type GrantLimits, type GrantStore, Grants } from "../client-sign-in/grants.ts";
import { isConnectPath, isServerPath, ownEndpoint } from "../client-sign-in/protected-resource.ts";
import type { LocalUsers, UserEntry } from "../middleware/incoming-auth.ts";
import type { RequestAddress } from "../middleware/middleware.ts";
import type { RefusedRequest } from "../middleware/refusal-audit.ts";
import type { GatewayConfig } from "./gateway-contract.ts";
import type { GatewayRules } from "./gateway-rules.ts";
import { separateOf } from "./separate-servers.ts";

interface ClientGrantsParts extends RuntimeTools {
  readonly store: GrantStore | undefined;
  readonly rules: () => GatewayRules;
  readonly hasGroup: (name: string) => boolean;
  readonly accessOf: (principal: Principal) => readonly ServerAccess[];
  readonly refused: (request: RefusedRequest) => void;
  readonly begin: BeginSignIn;
  readonly connected: (account: AccountEntry) => void;
}

/** The wall clock may be set while a timer runs. */
const LONGEST_TIMER_MS = 3_600_000;

export class ClientGrants implements Disposable {
  readonly grants: Grants;
  readonly #parts: ClientGrantsParts;
  #server: Promise<AuthorizationServer> | null = null;
  #timer: Timer | null = null;

  constructor(parts: ClientGrantsParts) {
    this.#parts = parts;
    this.grants = new Grants(parts);
    this.grants.isOfUser = (grant) => {
      const { users } = parts.rules().authentication;
      return users !== null && isOfEntry(grant, users, this.grants, parts.clock.wallMs());
    };
  }

  /** Loads the code on first use. */
  server(): Promise<AuthorizationServer> {
    this.#server ??= this.#load();
    return this.#server;
  }

  /** Answers a request to the authorization server. False: the path is another one, or the server is off. */
  readonly signIn = (
    request: IncomingMessage,
    response: ServerResponse,
    address: RequestAddress,
  ): boolean => {
    const { store, rules } = this.#parts;
    const isOn = store !== undefined && rules().authentication.resource?.closedBecause !== undefined;
    const hasAccounts = separateOf(rules().config).size > 0;
    const isServed = isConnectPath(address.path) ? hasAccounts : isOn && isServerPath(address.path);
    if (!isServed) return false;
    void this.server().then((server) => server.handle(request, response, address));
    return true;
  };

  /**
   * Where the user signs in to the own account, at the gateway's address that the client uses; or why there is no page. `client`
   * null: the owner asks, for that address.
   */
  async connectAt(
    account: AccountEntry,
    client: ClientHandle | null,
    address = client?.address,
  ): Promise<{ readonly url: string } | { readonly closedBecause: string }> {
    if (address === undefined) return { closedBecause: "this client has no address of the gateway" };
    const endpoint = ownEndpoint(address, this.#parts.rules().config.server?.publicUrl ?? null);
    if ("closedBecause" in endpoint) return endpoint;
    return { url: (await this.server()).accounts.addressFor(account, endpoint.base, client) };
  }

  /** Reads the grants, if the configuration lets clients have some. */
  async load({ incomingAuth }: GatewayConfig): Promise<void> {
    if (incomingAuth.type === "local" && incomingAuth.oauth === true) await this.grants.load();
  }

  /** Ends the grants of users who are no longer in the configuration, and of tokens that are no longer accepted. */
  endOrphans(): void {
    void this.#server?.then(({ accounts }) => accounts.endOrphans());
    const { users, resource } = this.#parts.rules().authentication;
    if (users === null) return;
    this.#recheckAtEnd([...users.entries.values()]);
    if (resource === null) return;
    const { grants } = this;
    grants.endOrphans((grant) =>
      users.entries.has(grant.user) ? !grants.isOfUser(grant) : !users.names.has(grant.user),
    );
    this.#follow(users.entries);
  }

  /** Grants by the owner are stored with the user's present token, by which the next daemon knows the entry. */
  #follow(entries: LocalUsers["entries"]): void {
    const { grants } = this;
    const presentOf = ({ user, entry }: Grant): string =>
      grants.entryOf(user, entries.get(user)?.sha256 ?? "") ?? entry;
    const behind = grants.list.filter((one) => grants.isOfUser(one) && presentOf(one) !== one.entry);
    const ids = behind.flatMap(({ id, by_owner: byOwner }) => (byOwner === true ? [id] : []));
    // If it cannot be written, a condition says so.
    if (ids.length > 0) grants.change(ids, (grant) => ({ entry: presentOf(grant) })).catch(() => {});
  }

  /** Sessions and streams of an old token, and of its grants, end with the token. */
  #recheckAtEnd(entries: readonly UserEntry[]): void {
    const { clock } = this.#parts;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const remainingMs = entries
      .map(({ old }) => (old?.endsAtMs ?? 0) - clock.wallMs())
      .filter((milliseconds) => milliseconds > 0);
    if (remainingMs.length === 0) return;
    this.#timer = clock.setTimer(Math.min(...remainingMs, LONGEST_TIMER_MS), () => this.grants.onChanged());
  }

  /** Ends grants (null), limits them, or keeps them as the owner's. */
  async change(ids: readonly string[], to: GrantLimits | "keep" | null): Promise<readonly Grant[]> {
    const { grants } = this;
    await grants.load();
    if (to === "keep") return grants.change(ids, () => ({ by_owner: true }));
    const changed = await (to === null ? grants.end(ids) : grants.narrow(ids, to));
    const event = to === null ? "client.ended" : "client.limited";
    for (const { client, user } of changed) this.#record(event, client.name, `the program acted as ${user}`);
    return changed;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    void this.#server?.then((server) => server[Symbol.dispose]());
  }

  #record(event: string, entry: string, summary: string): void {
    const { rules, clock } = this.#parts;
    rules().auditFile?.write({ time: isoTime(clock.wallMs()), event, entry, summary });
  }

  async #load(): Promise<AuthorizationServer> {
    const { AuthorizationServer: Loaded } = await import("../authorization-server/authorization-server.ts");
    const { rules, refused } = this.#parts;
    return new Loaded({
      ...this.#parts,
      grants: this.grants,
      users: () => rules().authentication.users,
      hasAccounts: (backend) => separateOf(rules().config).has(backend),
      publicUrl: () => rules().config.server?.publicUrl ?? null,
      record: (...event) => this.#record(...event),
      refused: (reason, remote, principal) => refused({ status: 400, reason, remote, principal }),
    });
  }
}
