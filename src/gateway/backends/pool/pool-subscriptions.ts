// The resources to which a backend's clients are subscribed, for its next instance.
import type { ClientPort } from "../../client-port.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";

export class PoolSubscriptions {
  readonly #byClient = new Map<ClientPort, Set<string>>();

  get clients(): readonly ClientPort[] {
    return [...this.#byClient.keys()];
  }

  add(client: ClientPort, uri: string): void {
    this.#byClient.set(client, (this.#byClient.get(client) ?? new Set()).add(uri));
  }

  delete(client: ClientPort, uri: string): void {
    const uris = this.#byClient.get(client);
    if (uris?.delete(uri) === true && uris.size === 0) this.forget(client);
  }

  forget(client: ClientPort): void {
    this.#byClient.delete(client);
  }

  clear(): void {
    this.#byClient.clear();
  }

  /** Moves the subscriptions of `client`, or of all clients if it is absent. */
  move(from: BackendInstance | null, to: BackendInstance | null, client?: ClientPort): void {
    if (this.#byClient.size === 0) return;
    const moved = this.#byUri(client);
    to?.adopt(moved);
    for (const [uri, clients] of moved) for (const one of clients) void from?.unsubscribe(uri, one);
  }

  #byUri(client: ClientPort | undefined): ReadonlyMap<string, ReadonlySet<ClientPort>> {
    const found = new Map<string, Set<ClientPort>>();
    for (const [owner, uris] of this.#byClient) {
      if (client !== undefined && owner !== client) continue;
      for (const uri of uris) found.set(uri, (found.get(uri) ?? new Set()).add(owner));
    }
    return found;
  }
}
