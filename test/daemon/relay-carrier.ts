// A carrier in this process that really relays: one port per share, each connection over the route in use.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { CarriedShare, Carrier, RouteEndpoint } from "../../src/carrier/carrier.ts";
import { resetSocket } from "../../src/runtime/reset-socket.ts";

interface Relay {
  readonly server: Server;
  readonly links: Set<readonly [near: Socket, far: Socket]>;
  endpoint: RouteEndpoint;
  state: CarriedShare;
}

export interface RelayCarrier extends Carrier {
  /** What was asked for, in order. */
  readonly asked: readonly string[];
  /** Runs before the next moves. */
  beforeMove: () => Promise<void>;
}

export function createRelayCarrier(): RelayCarrier {
  const relays = new Map<string, Relay>();
  const asked: string[] = [];
  const shares = (): ReadonlyMap<string, CarriedShare> =>
    new Map([...relays].map(([name, { state }]) => [name, state]));
  const cut = ({ links }: Relay): void => {
    for (const link of links) for (const socket of link) resetSocket(socket);
    links.clear();
  };
  const relayOf = (share: string): Relay => {
    const relay = relays.get(share);
    if (relay === undefined) throw new Error(`${share} is not open`);
    return relay;
  };
  const change = (relay: Relay, part: Partial<CarriedShare>): void => {
    relay.state = { ...relay.state, ...part };
  };
  const join = (relay: Relay, near: Socket): void => {
    const { address: host, port } = relay.endpoint;
    const far = connect({ host, port });
    const link = [near, far] as const;
    relay.links.add(link);
    for (const socket of link) {
      socket.on("error", () => {});
      socket.on("close", () => {
        relay.links.delete(link);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
    far.on("data", (bytes) => change(relay, { bytesDown: relay.state.bytesDown + bytes.length }));
    change(relay, { connectionsInAll: relay.state.connectionsInAll + 1 });
  };

  return {
    asked,
    get shares() {
      return shares();
    },
    absentSinceMs: null,
    recount: () => Promise.resolve(),
    refresh: async () => shares(),
    async open({ share, kind, route, endpoints }) {
      asked.push(`open ${share}`);
      const endpoint = endpoints[route];
      if (endpoint === undefined) throw new Error("no endpoint");
      const server = createServer((socket) => join(relayOf(share), socket));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      // A listening socket on TCP always has such an address.
      const { port } = server.address() as AddressInfo;
      const state: CarriedShare = {
        share,
        kind,
        port,
        route,
        endpoint,
        phase: "carrying",
        mount: null,
        connections: 0,
        connectionsInAll: 0,
        bytesUp: 0,
        bytesDown: 0,
        longestWaitMs: 0,
        moves: 0,
        lastAnswerAtMs: null,
        unansweredSinceMs: null,
        routeLostAtMs: null,
        outage: 1,
      };
      relays.set(share, { server, links: new Set(), endpoint, state });
      return state;
    },
    async bind(share, mount) {
      asked.push(`bind ${share}`);
      change(relayOf(share), { mount });
    },
    configure: async () => {},
    async move({ share, to, endpoint }) {
      asked.push(`move ${share} ${to}`);
      await this.beforeMove();
      const relay = relayOf(share);
      relay.endpoint = endpoint;
      const connections = relay.links.size;
      cut(relay);
      change(relay, { route: to, moves: relay.state.moves + 1 });
      return { ok: true, quiet: false, connections, tookMs: 0 };
    },
    hold: async () => {},
    confirm: async () => {},
    reopen: async () => {},
    usedUp: async () => {},
    async close(share) {
      asked.push(`close ${share}`);
      const relay = relays.get(share);
      if (relay === undefined) return;
      relays.delete(share);
      relay.server.close();
      cut(relay);
    },
    takeJournal: async () => [],
    onNotice: () => () => {},
    beforeMove: async () => {},
    async [Symbol.asyncDispose]() {
      for (const [, relay] of relays) {
        relay.server.close();
        cut(relay);
      }
    },
  };
}
