// A TCP relay on a loopback address: the cable that a test, or the demo, pulls.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";

/**
 * - `pass`: a whole cable; what a silence held up goes on.
 * - `refuse`: connections are reset, new ones refused.
 * - `hang`: new connections are accepted, and nothing passes.
 * - `drop`: new connections are not even answered, and nothing passes.
 */
type RelayMode = "pass" | "refuse" | "hang" | "drop";

export type TcpRelay = Awaited<ReturnType<typeof startTcpRelay>>;

interface TcpRelayOptions {
  /** The loopback address to listen on; its port is a free one. */
  readonly host: string;
  readonly targetHost: string;
  readonly targetPort: number;
}

interface Link {
  readonly near: Socket;
  far: Socket | null;
}

export async function startTcpRelay({ host, targetHost, targetPort }: TcpRelayOptions) {
  const links = new Set<Link>();
  let target = { host: targetHost, port: targetPort };
  let mode: RelayMode = "pass";
  let server: Server | null = null;
  let silence: Silence | null = null;
  let port = 0;

  const cut = (link: Link): void => {
    links.delete(link);
    resetSocket(link.near);
    if (link.far !== null) resetSocket(link.far);
  };
  /** Both directions; called again, it does nothing more. */
  const join = (link: Link): void => {
    if (link.far === null) {
      const far = connect({ ...target, allowHalfOpen: true });
      link.far = far;
      far.on("error", () => cut(link));
      far.on("close", () => cut(link));
    }
    link.near.pipe(link.far);
    link.far.pipe(link.near);
  };
  const hold = ({ near, far }: Link): void => {
    near.unpipe();
    near.pause();
    far?.unpipe();
    far?.pause();
  };
  const accept = (near: Socket): void => {
    const link: Link = { near, far: null };
    links.add(link);
    near.on("error", () => cut(link));
    near.on("close", () => cut(link));
    if (mode === "pass") join(link);
    else near.pause();
  };
  const listen = async (): Promise<void> => {
    if (server !== null) return;
    const created = createServer({ allowHalfOpen: true }, accept);
    created.listen(port, host);
    await once(created, "listening");
    // A listening socket on TCP always has such an address.
    port = (created.address() as AddressInfo).port;
    server = created;
  };
  const stopListening = async (): Promise<void> => {
    const closing = server;
    server = null;
    // Its callback would wait for the connections that go on.
    closing?.close();
    if (silence !== null) await silence[Symbol.asyncDispose]();
    silence = null;
  };

  const change = async (next: RelayMode): Promise<void> => {
    // A connection that is joined twice would carry each byte twice.
    if (next === mode) return;
    mode = next;
    if (next === "refuse" || next === "drop") await stopListening();
    else if (silence !== null) await stopListening();
    for (const link of [...links]) {
      if (next === "pass") join(link);
      else if (next === "refuse") cut(link);
      else hold(link);
    }
    if (next === "drop") silence = await startSilence(host, port);
    else if (next !== "refuse") await listen();
  };

  await listen();
  let changes: Promise<void> = Promise.resolve();
  return {
    host,
    get port() {
      return port;
    },
    get mode() {
      return mode;
    },
    /** Another server takes the place of the one behind it: open connections are cut. */
    leadTo(host: string, port: number): void {
      target = { host, port };
      for (const link of [...links]) cut(link);
    },
    /** Resolves when it is so. Calls take effect one after the other. */
    setMode(next: RelayMode): Promise<void> {
      const changed = changes.then(() => change(next));
      changes = changed.catch(() => {});
      return changed;
    },
    async [Symbol.asyncDispose]() {
      await changes;
      await stopListening();
      for (const link of [...links]) cut(link);
    },
  };
}

type Silence = AsyncDisposable;

/**
 * A listener whose thread never accepts, its queue filled by connections of our own: the kernel drops whatever
 * else comes, as a dead link would.
 */
async function startSilence(host: string, port: number): Promise<Silence> {
  const wake = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(programBeside(import.meta.url, "tcp-relay-silence"), {
    workerData: { host, port, wake },
  });
  const ended = once(worker, "exit");
  await once(worker, "message");
  const fillers = Array.from({ length: FILLERS }, () => connect({ host, port }));
  for (const filler of fillers) filler.on("error", () => {});
  await Promise.any(fillers.map((filler) => once(filler, "connect")));
  return {
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      Atomics.store(wake, 0, 1);
      Atomics.notify(wake, 0);
      await ended;
    },
  };
}

/** More than a queue of length one holds; those that do not fit are dropped themselves. */
const FILLERS = 4;
