// Measures what hung things cost everybody else: two daemons in turns, one of them with a hung mount, a hung backend and
// clients that never read.
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { loadavg } from "node:os";
import { join } from "node:path";
import { connectToDaemon, type DaemonClient } from "../src/api/client/client.ts";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { missingForFuse, mountLocalFuse } from "../test/rig/local-fuse-mount.ts";
import { createTestHome, type TestHome } from "../test/support/daemon.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { stopProcess } from "../test/support/stop-process.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { goal, median, quantile, round, say } from "./figures.ts";
import { childrenOf, commandLine } from "./processes.ts";

export const title = "faces: what a hung mount, a hung backend and clients that never read cost the others";

export function missing(): string | null {
  return process.platform === "linux" ? missingForFuse() : "it stops processes as Linux has it";
}

/** No part of the measuring: ends what hangs. */
const DEADLINE_MS = 60_000;
const CALLS_A_TURN = 300;
const SWITCHES_A_TURN = 4;
const LOOKS_A_TURN = 4;
/** Of each kind. */
const SILENT_CLIENTS = 4;
/** What two runs of the same differ by on a quiet machine, and a little more. */
const SAME = 1.25;

/** What is timed, ms each. */
interface Times {
  readonly call: number[];
  readonly switched: number[];
  readonly status: number[];
  readonly command: number[];
  readonly door: number[];
  readonly page: number[];
}

interface World extends AsyncDisposable {
  readonly home: TestHome;
  readonly daemon: DaemonClient;
  readonly client: LightClient;
  readonly url: string;
  readonly token: string;
  readonly times: Times;
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  const ends: (() => unknown)[] = [];
  const scope = { after: (end: () => unknown) => void ends.push(end) };
  try {
    const calm = await openWorld(await temporaryFolder(scope), false);
    ends.push(() => calm[Symbol.asyncDispose]());
    const troubled = await openWorld(await temporaryFolder(scope), true);
    ends.push(() => troubled[Symbol.asyncDispose]());
    const rounds = short ? 3 : 15;
    // The first turn compiles.
    for (let index = -1; index < rounds; index++) {
      for (const world of index % 2 === 0 ? [calm, troubled] : [troubled, calm]) {
        await takeTurn(world);
        if (index < 0) for (const taken of Object.values(world.times)) taken.length = 0;
      }
    }
    const { shares, backends } = await troubled.daemon.call("status", null, AbortSignal.timeout(DEADLINE_MS));
    const seen = [
      ...shares.map(({ name, mount_alive }) => `${name} ${mount_alive ? "alive" : "hangs"}`),
      ...(backends ?? []).map(({ name, phase }) => `${name} ${phase}`),
    ];
    say(`  ${rounds} turns of each; the troubled one's status says: ${seen.join(", ")}`);
    report(calm.times, troubled.times);
    say(`  load ${loadavg().map(round).join(", ")}`);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function openWorld(folder: string, isTroubled: boolean): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const fuse = stack.use(await mountLocalFuse(folder));
  for (const place of ["tb", "fallback"]) {
    await mkdir(join(folder, place));
    await mkdir(join(fuse.path, place));
  }
  const port = await freePort();
  const home = await createTestHome({
    home: join(folder, "home"),
    config: configText(folder, fuse.path, port),
  });
  const monitor = stack.use(await home.startMonitor());
  for (const name of ["CORE", "FAR"]) await home.untilShare(name, (share) => share.mount_alive, DEADLINE_MS);
  const daemon = await connectToDaemon(home.home);
  if (daemon === null) throw new Error("no daemon answers");
  await eventually(async () => {
    const { backends = [] } = await daemon.call("status", null, AbortSignal.timeout(DEADLINE_MS));
    return backends.length === 2 && backends.every(({ phase }) => phase === "Ready");
  }, DEADLINE_MS);
  const { token } = await daemon.call("makeToken", null, AbortSignal.timeout(DEADLINE_MS));
  const url = `http://127.0.0.1:${port}`;
  const client = stack.use(await connectLight(`${url}/mcp`));
  for (let index = 0; index < SILENT_CLIENTS; index++) {
    const events = await open(
      port,
      `GET /manage/v1/events HTTP/1.1\r\nAuthorization: Bearer ${token}\r\n`,
      isTroubled,
    );
    stack.defer(() => void events.destroy());
    const mcp = `GET /mcp HTTP/1.1\r\nAccept: text/event-stream\r\nMcp-Session-Id: ${client.sessionId}\r\n`;
    const stream = await open(port, mcp, isTroubled);
    stack.defer(() => void stream.destroy());
  }
  if (isTroubled) {
    await fuse.hang();
    stack.defer(() => fuse.goOn());
    const pid = await stuckBackend(monitor.pid);
    await stopProcess(pid);
    stack.defer(() => void process.kill(pid, "SIGCONT"));
    // Under way for as long as the bench: nobody waits for its end.
    client.call("stuck_echo", { text: "?" }).catch(() => {});
  }
  const kept = stack.move();
  const times: Times = { call: [], switched: [], status: [], command: [], door: [], page: [] };
  return {
    home,
    daemon,
    client,
    url,
    token,
    times,
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

function configText(folder: string, fuse: string, port: number): string {
  const backend = (name: string, prefix: string): string => `
[backends.${name}]
command = "${process.execPath}"
args = ["${LIGHT_SERVER}"]
[backends.${name}.env]
LIGHT_PREFIX = "${prefix}"
`;
  return `[global]
shares_root = "${folder}/Shares"
check_interval_secs = 0.5
auto_failback = false

[server]
port = ${port}

[limits]
calls_per_second = 0

[[shares]]
name = "CORE"
driver = "local"
thunderbolt_path = "${folder}/tb"
fallback_path = "${folder}/fallback"

[[shares]]
name = "FAR"
driver = "local"
thunderbolt_path = "${fuse}/tb"
fallback_path = "${fuse}/fallback"
${backend("light", "")}${backend("stuck", "stuck_")}`;
}

/** Told by its environment, which its command line does not show. */
async function stuckBackend(daemon: number): Promise<number> {
  const waiting = await childrenOf(daemon);
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    waiting.push(...(await childrenOf(pid).catch(() => [])));
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const isServer = (await commandLine(pid).catch(() => "")).endsWith(LIGHT_SERVER);
    if (isServer && environment.includes("LIGHT_PREFIX=stuck_")) return pid;
  }
  throw new Error("the backend's process was not found");
}

/** A request whose answer is read as it comes, or never. */
async function open(port: number, head: string, neverReads: boolean): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  if (neverReads) socket.pause();
  else socket.resume();
  socket.write(`${head}Host: 127.0.0.1:${port}\r\n\r\n`);
  return socket;
}

async function takeTurn(world: World): Promise<void> {
  const { client, daemon, home, times, token, url } = world;
  for (let index = 0; index < CALLS_A_TURN; index++)
    await timed(times.call, () => client.call("echo", { text: "hello" }));
  for (let index = 0; index < SWITCHES_A_TURN; index++) {
    const to = index % 2 === 0 ? "fallback" : "tb";
    await timed(times.switched, async () => {
      const options = { to, force: false, wait: false } as const;
      const [end] = (
        await daemon.call("switchRoute", { ...options, shares: ["CORE"] }, AbortSignal.timeout(DEADLINE_MS))
      ).results;
      if (end?.result !== "switched") throw new Error(`not switched: ${JSON.stringify(end)}`);
    });
  }
  for (let index = 0; index < LOOKS_A_TURN; index++) {
    await timed(times.status, () => daemon.call("status", null, AbortSignal.timeout(DEADLINE_MS)));
    await timed(times.door, () => get(`${url}/manage/v1/status`, { Authorization: `Bearer ${token}` }));
    await timed(times.page, () => get(`${url}/`, {}));
  }
  await timed(times.command, () => home.status());
}

async function timed(taken: number[], what: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  await what();
  taken.push(performance.now() - startedAt);
}

async function get(url: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(DEADLINE_MS) });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

function report(calm: Times, troubled: Times): void {
  const rows: readonly (readonly [keyof Times, string])[] = [
    ["call", "a call of the other backend"],
    ["switched", "a switch of the other share"],
    ["status", "status over the socket"],
    ["command", "mountaineer status"],
    ["door", "status over HTTP"],
    ["page", "the page's document"],
  ];
  say(
    `  ${"ms".padEnd(30)}${"calm p50".padStart(10)}${"p99".padStart(9)}${"troubled p50".padStart(14)}${"p99".padStart(9)}`,
  );
  for (const [key, name] of rows) {
    const [calmP50, troubledP50] = [median(calm[key]), median(troubled[key])];
    const [calmP99, troubledP99] = [quantile(calm[key], 0.99), quantile(troubled[key], 0.99)];
    say(
      `  ${name.padEnd(30)}${round(calmP50).padStart(10)}${round(calmP99).padStart(9)}${round(troubledP50).padStart(14)}${round(troubledP99).padStart(9)}   × ${round(troubledP50 / calmP50)} and ${round(troubledP99 / calmP99)}`,
    );
  }
  const ratio = quantile(troubled.call, 0.99) / quantile(calm.call, 0.99);
  goal(`p99 of calls ≤ ${SAME} × of the calm daemon`, ratio <= SAME);
  goal(
    `a switch of the other share ≤ ${SAME} × of the calm daemon`,
    median(troubled.switched) / median(calm.switched) <= SAME,
  );
}
