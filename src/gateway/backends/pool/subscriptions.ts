// Owns which client wants to hear of which resource of one backend, so that a new instance can be told.
import type { ClientPort } from "../../client-port.ts";
import type { BackendInstance } from "../instance/backend-instance.ts";

export interface PoolSubscriptions {
  add(client: ClientPort, uri: string): void;
  delete(client: ClientPort, uri: string): void;
  forget(client: ClientPort): void;
  clear(): void;
  readonly clients: readonly ClientPort[];
  /** `to` takes over those of one client, or of all; `from`, which may still finish calls, tells nobody any more. */
  move(from: BackendInstance | null, to: BackendInstance | null, client?: ClientPort): void;
}

export function createPoolSubscriptions(): PoolSubscriptions {
  const byClient = new Map<ClientPort, Set<string>>();

  const byUri = (client: ClientPort | undefined): ReadonlyMap<string, ReadonlySet<ClientPort>> => {
    const found = new Map<string, Set<ClientPort>>();
    for (const [owner, uris] of byClient) {
      if (client !== undefined && owner !== client) continue;
      for (const uri of uris) found.set(uri, (found.get(uri) ?? new Set()).add(owner));
    }
    return found;
  };

  return {
    add(client, uri) {
      byClient.set(client, (byClient.get(client) ?? new Set()).add(uri));
    },
    delete(client, uri) {
      const uris = byClient.get(client);
      if (uris?.delete(uri) === true && uris.size === 0) byClient.delete(client);
    },
    forget(client) {
      byClient.delete(client);
    },
    clear() {
      byClient.clear();
    },
    get clients() {
      return [...byClient.keys()];
    },
    move(from, to, client) {
      if (byClient.size === 0) return;
      const moved = byUri(client);
      to?.adopt(moved);
      if (from?.seen.state.kind !== "ready") return;
      for (const [uri, clients] of moved) {
        for (const one of clients) void from.unsubscribe(uri, one);
      }
    },
  };
}
