// Free ports for a test to listen at later: nobody else takes one in between.
import { randomInt } from "node:crypto";
import { connect, createServer, type ListenOptions } from "node:net";

/** Below the ports that systems give to connections and to whoever asks for any: those may be taken at any moment. */
const PORTS = { from: 20_000, to: 32_000 } as const;
const TRIES = 200;

/** A port of loopback that nobody listens at, and that no other test process gets while this one lives. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(PORTS.from, PORTS.to);
    if ((await reserve(port)) && (await isFree(port))) return port;
  }
  throw new Error(`no free port between ${PORTS.from} and ${PORTS.to}`);
}

/** Linux's abstract sockets are files nowhere, and end with the process. */
async function reserve(port: number): Promise<boolean> {
  if (process.platform !== "linux") return true;
  return (await listen({ path: `\0mountaineer-test-port-${port}` })) !== null;
}

async function isFree(port: number): Promise<boolean> {
  const close = await listen({ port, host: "127.0.0.1" });
  await close?.();
  return close !== null;
}

/** null when it is taken, else what ends it; it keeps no process alive. */
async function listen(options: ListenOptions): Promise<(() => Promise<void>) | null> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(options, () => resolve(true));
  });
  server.unref();
  if (!listening) return null;
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/** Whether somebody listens at this port of loopback. */
export function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
