// The resources to which a backend's clients are subscribed, for its next instance.
import type { ClientHandle } from "../../client-handle.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";

export class PoolSubscriptions {
  readonly #byClient = new Map<ClientHandle, Set<string>>();

  get clients(): readonly ClientHandle[] {
    return [...this.#byClient.keys()];
  }

  has(client: ClientHandle): boolean {
    return this.#byClient.has(client);
  }

  add(client: ClientHandle, uri: string): void {
    this.#byClient.set(client, (this.#byClient.get(client) ?? new Set()).add(uri));
  }

  delete(client: ClientHandle, uri: string): void {
    const uris = this.#byClient.get(client);
    if (uris?.delete(uri) === true && uris.size === 0) this.forget(client);
  }

  forget(client: ClientHandle): void {
    this.#byClient.delete(client);
  }

  clear(): void {
    this.#byClient.clear();
  }

  /** Moves the subscriptions of `client`, or of all clients if it is absent. */
  move(from: BackendInstance | null, to: BackendInstance | null, client?: ClientHandle): void {
    if (this.#byClient.size === 0) return;
    const moved = this.#byUri(client);
    to?.adopt(moved);
    for (const [uri, clients] of moved) for (const one of clients) void from?.unsubscribe(uri, one);
  }

  #byUri(client: ClientHandle | undefined): ReadonlyMap<string, ReadonlySet<ClientHandle>> {
    const found = new Map<string, Set<ClientHandle>>();
    for (const [owner, uris] of this.#byClient) {
      if (client !== undefined && owner !== client) continue;
      for (const uri of uris) found.set(uri, (found.get(uri) ?? new Set()).add(owner));
    }
    return found;
  }
}
