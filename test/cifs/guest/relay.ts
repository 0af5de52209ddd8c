// A small carrier for the suite: forwards a port of this machine to one of two routes, and moves what is connected.
import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { HOSTS, type Route } from "./nas.ts";

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted until now. */
  accepted(): number;
  /** Resets what is connected, the server's side first, and sends whoever comes from now on over that route. */
  move(to: Route): void;
  /** There is no route: resets what is connected, and holds whoever comes. `move` ends it. */
  hold(): void;
  /** The patience is over: resets whoever is held, and whoever comes. `move` ends it. */
  refuse(): void;
}

type Target = Route | "hold" | "refuse";

const CONNECTS_MS = 3_000;
const SMB_PORT = 445;

export async function startRelay(port: number): Promise<Relay> {
  let target: Target = "tb";
  let accepted = 0;
  const pairs = new Map<Socket, Socket>();
  const paused = new Set<Socket>();

  const reset = (client: Socket): void => {
    const upstream = pairs.get(client);
    pairs.delete(client);
    paused.delete(client);
    upstream?.resetAndDestroy();
    client.resetAndDestroy();
  };
  const join = (client: Socket, route: Route): void => {
    const upstream = connectTo({ host: HOSTS[route], port: SMB_PORT, noDelay: true });
    pairs.set(client, upstream);
    upstream.setTimeout(CONNECTS_MS, () => {
      if (upstream.connecting) reset(client);
    });
    upstream.once("connect", () => {
      upstream.setTimeout(0);
      client.pipe(upstream);
      upstream.pipe(client);
    });
    upstream.on("error", () => reset(client));
    upstream.on("close", () => {
      if (pairs.has(client)) reset(client);
    });
  };
  const settle = (client: Socket): void => {
    if (target === "refuse") reset(client);
    else if (target === "hold") paused.add(client);
    else join(client, target);
  };
  const server: Server = createServer({ pauseOnConnect: true, noDelay: true }, (client) => {
    accepted += 1;
    client.on("error", () => reset(client));
    client.on("close", () => reset(client));
    settle(client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const become = (next: Target): void => {
    const waiting = [...paused];
    target = next;
    for (const client of [...pairs.keys()]) reset(client);
    paused.clear();
    for (const client of waiting) settle(client);
  };
  return {
    port,
    accepted: () => accepted,
    move: become,
    hold: () => become("hold"),
    refuse: () => become("refuse"),
    async [Symbol.asyncDispose]() {
      become("refuse");
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
