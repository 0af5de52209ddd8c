// A TCP proxy on a loopback address that passes, refuses, hangs or drops: what a simulated cable's thread runs.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import type { SilenceData } from "./cable-silence.ts";

/**
 * - `pass`: a whole cable; bytes buffered by `hang` or `drop` are delivered.
 * - `refuse`: connections are reset, new ones refused.
 * - `hang`: new connections are accepted, and nothing passes.
 * - `drop`: SYN packets get no answer, and nothing passes.
 */
export type CableMode = "pass" | "refuse" | "hang" | "drop";

export interface PullableCableOptions {
  /** The loopback address to listen on, at a free port. */
  readonly host: string;
  readonly targetHost: string;
  readonly targetPort: number;
}

interface Link {
  readonly near: Socket;
  far: Socket | null;
}

export async function startPullableCable({ host, targetHost, targetPort }: PullableCableOptions) {
  const links = new Set<Link>();
  let target = { host: targetHost, port: targetPort };
  let mode: CableMode = "pass";
  let server: Server | null = null;
  let silence: AsyncDisposable | null = null;
  let port = 0;

  const cut = (link: Link): void => {
    links.delete(link);
    resetSocket(link.near);
    if (link.far !== null) resetSocket(link.far);
  };
  /** Connects to the server if necessary, and passes bytes in both directions. */
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
  const buffer = ({ near, far }: Link): void => {
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
    // The address of a listening TCP socket is never a string or null.
    port = (created.address() as AddressInfo).port;
    server = created;
  };
  const stopListening = async (): Promise<void> => {
    const closing = server;
    server = null;
    // Not awaited: `close` completes only after the open connections have ended.
    closing?.close();
    if (silence !== null) await silence[Symbol.asyncDispose]();
    silence = null;
  };

  const change = async (next: CableMode): Promise<void> => {
    // Returns early, because joining a connection twice would send each byte twice.
    if (next === mode) return;
    mode = next;
    if (next === "refuse" || next === "drop" || silence !== null) await stopListening();
    for (const link of [...links]) {
      if (next === "pass") join(link);
      else if (next === "refuse") cut(link);
      else buffer(link);
    }
    if (next === "drop") silence = await startSilence(host, port);
    else if (next !== "refuse") await listen();
  };

  await listen();
  const inTurn = oneByOne();
  return {
    host,
    get port() {
      return port;
    },
    /** Connects to another server from now on, and cuts the open connections. */
    leadTo(host: string, port: number): void {
      target = { host, port };
      for (const link of [...links]) cut(link);
    },
    /** Resolves when the mode is in effect. Calls take effect one after the other. */
    setMode: (next: CableMode): Promise<void> => inTurn(() => change(next)),
    async [Symbol.asyncDispose]() {
      await inTurn(async () => {});
      await stopListening();
      for (const link of [...links]) cut(link);
    },
  };
}

/**
 * A listener that never accepts, with its backlog filled by connections of this process: the kernel then drops further
 * SYN packets, as a dead link would.
 */
async function startSilence(host: string, port: number): Promise<AsyncDisposable> {
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const data: SilenceData = { host, port, signal };
  const worker = new Worker(programBeside(import.meta.url, "cable-silence"), { workerData: data });
  const ended = once(worker, "exit");
  await once(worker, "message");
  const fillers = Array.from({ length: FILLERS }, () => connect({ host, port }));
  for (const filler of fillers) filler.on("error", () => {});
  await Promise.any(fillers.map((filler) => once(filler, "connect")));
  return {
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      Atomics.store(signal, 0, 1);
      Atomics.notify(signal, 0);
      await ended;
    },
  };
}

/** More connections than a backlog of one can hold. The kernel drops those that do not fit. */
const FILLERS = 4;
