// The grants of clients, and the authorization server that issues them. Its code is loaded with the first request to it.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isoTime } from "../../runtime/time/clock.ts";
import type { AuthorizationServer } from "../authorization-server/authorization-server.ts";
import type { ServerAccess } from "../authorization-server/consent-pages.ts";
import type { Principal } from "../client-handle.ts";
import { type GrantStore, Grants } from "../client-sign-in/grants.ts";
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
    this.grants = new Grants({ ...parts, store: parts.store ?? memoryStore() });
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
    const isOn = this.#parts.rules().authentication.resource?.closedBecause !== undefined;
    if (!isOn || !isServerPath(address.path)) return false;
    void this.server().then((server) => server.handle(request, response, address));
    return true;
  };

  /** Reads the grants, if the configuration lets clients have some. */
  async load({ incomingAuth }: GatewayConfig): Promise<void> {
    if (incomingAuth.type === "local" && incomingAuth.oauth === true) await this.grants.load();
  }

  /** Ends the grants of users who are no longer in the configuration, or have another token. */
  endOrphans(): void {
    const { users, resource } = this.#parts.rules().authentication;
    if (users === null || resource === null) return;
    const { grants } = this;
    grants.endOrphans((grant) => {
      const isKnown = users.entries.has(grant.user);
      return isKnown ? !grants.isOfUser(grant) : !users.names.has(grant.user);
    });
  }

  [Symbol.dispose](): void {
    void this.#server?.then((server) => server[Symbol.dispose]());
  }

  async #load(): Promise<AuthorizationServer> {
    const { AuthorizationServer: Loaded } = await import("../authorization-server/authorization-server.ts");
    const { clock, rules, refused } = this.#parts;
    return new Loaded({
      ...this.#parts,
      grants: this.grants,
      users: () => rules().authentication.users,
      publicUrl: () => rules().config.server?.publicUrl ?? null,
      record: (event, entry, summary) =>
        rules().auditFile?.write({ time: isoTime(clock.wallMs()), event, entry, summary }),
      refused: (reason, remote, principal) => refused({ status: 400, reason, remote, principal }),
    });
  }
}

/** Grants that are lost with the process. */
function memoryStore(): GrantStore {
  const key = randomBytes(32).toString("hex");
  return {
    exists: async () => false,
    read: async () => ({ kind: "none" }),
    write: async () => {},
    secret: async () => key,
  };
}
