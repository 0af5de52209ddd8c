// Local Network privacy told from an outage, with a program in place of nc that carries bytes as nc does, to a real SMB
// server or to what says something else.
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { AddressedHostProber } from "../../../src/network/probe/host-prober.ts";
import { checkLocalNetwork } from "../../../src/network/probe/local-network.ts";
import {
  confirmedByNc,
  mayBeDenied,
  withLocalNetworkCheck,
} from "../../../src/network/probe/local-network-darwin.ts";
import type { ProbeResult } from "../../../src/network/probe/probe-result.ts";
import {
  meaningOfEnd,
  type NcFinding,
  negotiateThroughNc,
} from "../../../src/network/probe/smb-through-nc.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { isGone } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NOT_ON_A_MAC } from "../../support/where.ts";
import { smbdUnavailable, startSmbServer } from "../smb-server.ts";

const NO_ROUTE: ProbeResult = {
  verdict: "gone",
  reason: "no_route",
  tcpAnswered: false,
  address: "127.0.0.1",
  interfaceName: "en0",
  serverGuid: null,
  text: "127.0.0.1:445: no route to it",
  tookMs: 1,
};
const REQUEST = { notBeforeMs: 0, timeoutMs: 20_000 };
/** Carries bytes both ways and ends when the server hangs up; exits with 1 when it cannot connect. As macOS's does. */
const CARRIES = `exec '${process.execPath}' -e '
  const { connect } = require("node:net");
  const socket = connect(Number(process.argv.at(-1)), process.argv.at(-2));
  socket.on("error", () => process.exit(1));
  socket.on("connect", () => process.stdin.pipe(socket).pipe(process.stdout));
  socket.on("close", () => process.exit(0));
' -- "$@"`;

async function ncOf(t: TestContext, script: string) {
  const folder = await temporaryFolder(t);
  const nc = join(folder, "nc");
  await writeFile(nc, `#!/bin/sh\necho "$*" >> ${folder}/asked\n${script}\n`);
  await chmod(nc, 0o755);
  const asked = async (): Promise<readonly string[]> =>
    (await readFile(join(folder, "asked"), "utf8").catch(() => "")).split("\n").filter(Boolean);
  return { nc, asked };
}

async function setUp(t: TestContext, script: string, port = 4450, clock = createManualClock()) {
  const { nc, asked } = await ncOf(t, script);
  let result: ProbeResult = NO_ROUTE;
  let disposed = 0;
  let changes = 0;
  const inner: AddressedHostProber = {
    probe: async () => result,
    networkChanged: () => void changes++,
    addressesOf: () => ["127.0.0.1"],
    [Symbol.dispose]: () => void disposed++,
  };
  // A clock that stands still: no deadline of nc's comes, and what waits for it would wait for ever.
  const prober = withLocalNetworkCheck(inner, { clock, nc });
  t.after(() => prober[Symbol.dispose]());
  const target = { host: "nas.local", port, interfaceName: null };
  return {
    prober,
    clock,
    probe: () => prober.probe(target, { ...REQUEST, notBeforeMs: clock.monotonicMs() }),
    asked,
    answers: (changed: Partial<ProbeResult>) => {
      result = { ...NO_ROUTE, ...changed };
    },
    counts: () => [disposed, changes],
  };
}

/** A server on loopback that answers a connection by `talk`. */
async function serverThat(t: TestContext, talk: (socket: Socket) => void): Promise<number> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return port;
}

const isBackBack = async ({ probe }: Awaited<ReturnType<typeof setUp>>): Promise<ProbeResult> =>
  eventually(async () => {
    const result = await probe();
    return result.verdict === "gone" ? null : result;
  }, 30_000);

test("A2 a host that nc speaks SMB with answers: the share is mounted, and the missing permission is reported", async (t) => {
  const missing = await smbdUnavailable();
  if (missing !== null) return t.skip(missing);
  const port = await startSmbServer(t);
  const scene = await setUp(t, CARRIES, port);
  assert.deepEqual(await scene.probe(), NO_ROUTE, "the first answer does not wait");
  const told = await isBackBack(scene);
  assert.deepEqual([told.verdict, told.reason, told.tcpAnswered], ["answers", "negotiated", true]);
  assert.match(told.serverGuid ?? "", /^[0-9a-f]{32}$/);
  assert.match(told.text, /Local Network.*Terminal/);
  assert.equal(told.blocked, true);
  const [first] = await scene.asked();
  assert.equal(first, `-G 2 -w 2 127.0.0.1 ${port}`);
  // From now on each probe has nc's newest word.
  await scene.clock.advance(1);
  const before = (await scene.asked()).length;
  assert.equal((await scene.probe()).verdict, "answers");
  assert.equal((await scene.asked()).length, before + 1);
});

test("A2 a host that is unreachable even for nc is gone, whether or not a missing permission is known", async (t) => {
  const scene = await setUp(t, "exit 1");
  await scene.probe();
  await eventually(async () => (await scene.asked()).length === 1, 30_000);
  for (let count = 0; count < 20; count++) {
    await scene.clock.advance(1);
    assert.deepEqual(await scene.probe(), NO_ROUTE);
  }
  assert.equal((await scene.asked()).length, 1, "asked once in a while, not each time");
  await scene.clock.advance(10_000);
  await scene.probe();
  await eventually(async () => (await scene.asked()).length === 2, 30_000);
});

test("A2 once a permission is known to be missing, a host that disappears and returns is reported at the next probe, not later", async (t) => {
  const missing = await smbdUnavailable();
  if (missing !== null) return t.skip(missing);
  const port = await startSmbServer(t);
  const off = join(await temporaryFolder(t), "off");
  const scene = await setUp(t, `[ -e '${off}' ] && exit 1\n${CARRIES}`, port);
  await isBackBack(scene);
  await writeFile(off, "");
  await scene.clock.advance(1);
  assert.deepEqual(await scene.probe(), NO_ROUTE);
  const { rm } = await import("node:fs/promises");
  await rm(off);
  await scene.clock.advance(1);
  assert.equal((await scene.probe()).verdict, "answers");
});

test("A2 a server that accepts the connection and speaks no SMB is silent, not gone", async (t) => {
  const port = await serverThat(t, (socket) => socket.write("SSH-2.0-x\r\n"));
  const scene = await setUp(t, CARRIES, port);
  const told = await isBackBack(scene);
  assert.deepEqual([told.verdict, told.reason, told.tcpAnswered], ["silent", "not_smb", true]);
});

test("a failure for another reason, or behind a router, is not probed again", async (t) => {
  const { probe, asked, answers } = await setUp(t, "exit 0");
  for (const changed of [
    { verdict: "answers", reason: "negotiated" },
    { reason: "refused" },
    { reason: "link_down" },
    { verdict: "silent", reason: "connect_timeout" },
    { interfaceName: null },
    { address: null },
  ] as const) {
    answers(changed);
    await probe();
  }
  assert.deepEqual(await asked(), []);
});

test("a host on our link that we reach directly ends it; a change of the network does not", async (t) => {
  const scene = await setUp(t, "exit 0");
  const { probe, answers, prober, counts } = scene;
  assert.equal((await isBackBack(scene)).verdict, "silent");
  prober.networkChanged();
  assert.equal((await probe()).verdict, "silent");
  answers({ verdict: "answers", reason: "negotiated", interfaceName: null });
  await probe();
  answers({});
  assert.equal((await probe()).verdict, "silent", "macOS blocks nothing behind a router");
  answers({ verdict: "answers", reason: "negotiated" });
  assert.equal((await probe()).verdict, "answers");
  answers({});
  assert.deepEqual(await probe(), NO_ROUTE);
  assert.deepEqual(prober.addressesOf("nas.local"), ["127.0.0.1"]);
  prober[Symbol.dispose]();
  assert.deepEqual(counts(), [1, 1]);
});

test("an nc that hangs, or is missing, delays nothing and makes no host gone that may be there", async (t) => {
  const scene = await setUp(t, "exec sleep 600");
  await scene.probe();
  await eventually(async () => (await scene.asked()).length === 1, 30_000);
  assert.deepEqual(await scene.probe(), NO_ROUTE);
  const unknown: NcFinding = { kind: "unknown", detail: "no answer in time" };
  const told = confirmedByNc(NO_ROUTE, unknown);
  assert.deepEqual([told.verdict, told.reason], ["silent", "denied"]);
});

test("the query's input stays open until the answer arrives, and everything is bounded", async (t) => {
  let ended = false;
  const port = await serverThat(t, (socket) => {
    socket.on("end", () => {
      ended = true;
    });
    // Held back until the question is whole, and then not SMB, without end.
    socket.once("data", () => setTimeout(() => socket.write(Buffer.alloc(100_000, 0)), 50));
  });
  const { nc } = await ncOf(t, CARRIES);
  const ask = (timeoutMs: number, at = port, program = nc) =>
    negotiateThroughNc({
      clock: systemClock,
      nc: program,
      address: "127.0.0.1",
      port: at,
      timeoutMs,
      signal: new AbortController().signal,
    });
  const found = await ask(60_000);
  assert.equal(found.kind, "connected");
  assert.equal(ended, false);
  const silent = await serverThat(t, () => {});
  assert.deepEqual(await ask(700, silent), { kind: "unknown", detail: "no answer in time" });
  assert.deepEqual(await ask(60_000, await freePort()), { kind: "unreachable" });
  assert.equal((await ask(60_000, port, "/nowhere/nc")).kind, "unknown");
  const folder = await temporaryFolder(t);
  const deaf = await ncOf(t, `echo $$ > ${folder}/pid; echo SSH-2.0-x; exec sleep 600`);
  assert.equal((await ask(60_000, port, deaf.nc)).kind, "connected");
  const pid = Number(await readFile(join(folder, "pid"), "utf8"));
  await eventually(() => isGone(pid));
});

test("the ways in which nc ends", () => {
  assert.equal(meaningOfEnd({ exitCode: 0, timedOut: false }).kind, "connected");
  assert.equal(meaningOfEnd({ exitCode: 1, timedOut: false }).kind, "unreachable");
  assert.equal(meaningOfEnd({ exitCode: null, timedOut: false }).kind, "unknown");
  assert.equal(meaningOfEnd({ exitCode: 0, timedOut: true }).kind, "unknown");
  assert.ok(mayBeDenied(NO_ROUTE));
});

test("where the system restricts no program, the prober is used directly", {
  skip: NOT_ON_A_MAC,
}, async (t) => {
  const { prober } = await setUp(t, "");
  assert.equal(checkLocalNetwork(prober, { clock: systemClock }), prober);
});
