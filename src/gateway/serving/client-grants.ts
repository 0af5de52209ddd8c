// The grants of clients, and the authorization server that issues them. Its code is loaded with the first request to it.
import type { IncomingMessage, ServerResponse } from "node:http";
import { isoTime } from "../../runtime/time/clock.ts";
import type { AuthorizationServer } from "../authorization-server/authorization-server.ts";
import type { ServerAccess } from "../authorization-server/consent-pages.ts";
import type { Principal } from "../client-handle.ts";
import { type Grant, type GrantLimits, type GrantStore, Grants } from "../client-sign-in/grants.ts";
import { isServerPath } from "../client-sign-in/protected-resource.ts";
import type { GatewayTools } from "../gateway-tools.ts";
import type { RequestAddress } from "../middleware/middleware.ts";
import type { RefusedRequest } from "../middleware/refusal-audit.ts";
import type { GatewayConfig } from "./gateway-contract.ts";
import type { GatewayRules } from "./gateway-rules.ts";

interface ClientGrantsParts extends GatewayTools {
  readonly store: GrantStore | undefined;
  readonly rules: () => GatewayRules;
  readonly hasGroup: (name: string) => boolean;
  readonly accessOf: (principal: Principal) => readonly ServerAccess[];
  readonly refused: (request: RefusedRequest) => void;
}

export class ClientGrants implements Disposable {
  readonly grants: Grants;
  readonly #parts: ClientGrantsParts;
  #server: Promise<AuthorizationServer> | null = null;

  constructor(parts: ClientGrantsParts) {
    this.#parts = parts;
    this.grants = new Grants(parts);
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
    if (!isOn || !isServerPath(address.path)) return false;
    void this.server().then((server) => server.handle(request, response, address));
    return true;
  };

  /** Reads the grants, if the configuration lets clients have some. */
  async load({ incomingAuth }: GatewayConfig): Promise<void> {
    if (incomingAuth.type === "local" && incomingAuth.oauth === true) await this.grants.load();
  }

  /** Ends the grants of users who are no longer in the configuration, or have other tokens. */
  endOrphans(): void {
    const { users, resource } = this.#parts.rules().authentication;
    if (users === null || resource === null) return;
    this.grants.endOrphans(({ user, entry }) => {
      const known = this.#entriesOf(user);
      return known === null ? !users.names.has(user) : !known.includes(entry);
    });
  }

  /** Ends grants (null), limits them, or moves those of a user's old token to the present one. */
  async change(ids: readonly string[], to: GrantLimits | "keep" | null): Promise<readonly Grant[]> {
    const { grants } = this;
    await grants.load();
    if (to === "keep") return this.#keep(ids);
    const changed = await (to === null ? grants.end(ids) : grants.narrow(ids, to));
    const event = to === null ? "client.ended" : "client.limited";
    for (const { client, user } of changed) this.#record(event, client.name, `the program acted as ${user}`);
    return changed;
  }

  #keep(ids: readonly string[]): Promise<readonly Grant[]> {
    return this.grants.change(ids, (grant) => {
      const [present = null, ...earlier] = this.#entriesOf(grant.user) ?? [];
      return present !== null && earlier.includes(grant.entry) ? { entry: present } : {};
    });
  }

  /** What identifies the user's entry with its present token, and with its old one; null: the token is not known. */
  #entriesOf(user: string): readonly (string | null)[] | null {
    const known = this.#parts.rules().authentication.users?.entries.get(user);
    return known?.sha256s.map((digest) => this.grants.entryOf(user, digest)) ?? null;
  }

  [Symbol.dispose](): void {
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
      publicUrl: () => rules().config.server?.publicUrl ?? null,
      record: (...event) => this.#record(...event),
      refused: (reason, remote, principal) => refused({ status: 400, reason, remote, principal }),
    });
  }
}
