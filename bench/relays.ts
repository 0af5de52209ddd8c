// Relays on loopback that a carried mount talks through: the carrier where this checkout has one, and socat.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import type { RelayControl } from "../src/relay/relay.ts";
import { type Logger, noopLogger } from "../src/runtime/log/log.ts";
import type { Clock } from "../src/runtime/time/clock.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { cpuMs, cpuMsWithChildren } from "./processes.ts";

export interface Relay extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** Processor time of the relay so far, ms. */
  cpuMs(): Promise<number>;
}

const START_MS = 10_000;
const PATIENCE_MS = 60_000;
const CARRIER_PROGRAM = /\/carrier(-process)?\.m?js$/;

/** Forwards connections to a port of 127.0.0.1, each by a process of its own. `blockBytes`: what it copies at once. */
export async function startSocat(targetPort: number, blockBytes: number): Promise<Relay> {
  const port = await freePort();
  const child = spawn(
    "socat",
    [
      ...["-b", String(blockBytes)],
      `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=64`,
      `TCP:127.0.0.1:${targetPort},nodelay`,
    ],
    // A group of its own, which ends as one.
    { stdio: "ignore", detached: true },
  );
  const pid = await listening(child, port);
  return {
    name: `socat -b ${blockBytes}`,
    port,
    cpuMs: () => cpuMsWithChildren(pid),
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      process.kill(-pid, "SIGKILL");
      await ended;
    },
  };
}

/** What `src/relay/client/relay-client.ts` exports. */
interface CarrierClient {
  readonly connectRelay: (options: {
    readonly home: string;
    readonly clock: Clock;
    readonly logger: Logger;
  }) => Promise<RelayControl> | RelayControl;
}

/** null: this checkout has none. `home`: a folder of its own. */
export async function startCarrier(home: string, share: string, targetPort: number): Promise<Relay | null> {
  const module = join(import.meta.dirname, "../src/relay/client/relay-client.ts");
  if (!existsSync(module)) return null;
  const { connectRelay }: CarrierClient = await import(module);
  const carrier = await connectRelay({ home, clock: systemClock, logger: noopLogger });
  const end = async (): Promise<void> => {
    // It ends with its last share.
    await carrier.close(share, AbortSignal.timeout(START_MS));
    await carrier[Symbol.asyncDispose]();
  };
  const endpoint = { address: "127.0.0.1", port: targetPort, localAddress: null };
  const { port } = await carrier.open(
    {
      share,
      kind: "rclone",
      route: "tb",
      endpoints: { tb: endpoint },
      patienceMs: PATIENCE_MS,
      wantedPort: null,
    },
    AbortSignal.timeout(START_MS),
  );
  const pid = await listenerOf(port, CARRIER_PROGRAM);
  if (pid === null) {
    await end();
    throw new Error(`no carrier listens on ${port}`);
  }
  return {
    name: "carrier",
    port,
    cpuMs: () => cpuMs(pid),
    [Symbol.asyncDispose]: end,
  };
}

async function listening(child: ChildProcess, port: number): Promise<number> {
  const untilMs = performance.now() + START_MS;
  while (child.pid !== undefined && child.exitCode === null && performance.now() < untilMs) {
    const socket = connect({ host: "127.0.0.1", port });
    const answered = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (answered) return child.pid;
    await systemClock.sleep(20);
  }
  throw new Error("socat did not start");
}

/** The process with such a command line that listens on the port. Others may hold its socket, too. */
export async function listenerOf(port: number, program: RegExp): Promise<number | null> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const row = table.split("\n").find((line) => line.includes(` ${local} 00000000:0000 0A `));
  const inode = row?.trim().split(/\s+/)[9];
  const holders: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (inode !== undefined && target === `socket:[${inode}]`) holders.push(Number(pid));
    }
  }
  for (const pid of holders) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words.some((word) => program.test(word))) return pid;
  }
  return null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A listening socket on TCP always has such an address.
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
