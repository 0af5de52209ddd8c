import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { type TestContext } from "node:test";
import {
  type EndpointFinding,
  meaningOfError,
  startHostProbe,
} from "../../../src/network/probe/host-probe.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { LINUX_ALONE, NO_SECOND_ADDRESS } from "../../support/where.ts";
import { smbdUnavailable, startSmbServer } from "../smb-server.ts";
import { answerNegotiate, NEGOTIATE_ANSWER, startPeer, staySilent } from "../tcp-peer.ts";

const noSmbd = await smbdUnavailable();

/** For whom an end is expected long before. */
const LONG_MS = 60_000;

function probe(
  port: number,
  more: { address?: string; localAddress?: string; timeoutMs?: number } = {},
): Promise<EndpointFinding> {
  const endpoint = { address: more.address ?? "127.0.0.1", port, localAddress: more.localAddress ?? null };
  return startHostProbe(systemClock, endpoint, more.timeoutMs ?? LONG_MS).finding;
}

/** The ports of this side of the connections in TIME_WAIT towards a port of loopback. */
async function timeWaitsTowards(port: number): Promise<readonly number[]> {
  const remote = port.toString(16).toUpperCase().padStart(4, "0");
  const entry = new RegExp(`^\\s*\\d+: \\S+:(\\S+) 0100007F:${remote} 06 `);
  const connections = (await readFile("/proc/net/tcp", "utf8")).split("\n");
  return connections.flatMap((line) => {
    const local = entry.exec(line)?.[1];
    return local === undefined ? [] : [Number.parseInt(local, 16)];
  });
}

test("A2 a real SMB server answers, again and again", { skip: noSmbd ?? false }, async (t) => {
  const port = await startSmbServer(t, ["netbios name = PROBED"]);
  for (let count = 0; count < 5; count += 1) {
    assert.deepEqual(await probe(port), {
      verdict: "answers",
      reason: "negotiated",
      tcpAnswered: true,
      detail: "answered",
      // Samba makes it of its name.
      serverGuid: Buffer.from("probed".padEnd(16, "\0")).toString("hex"),
    });
  }
  const many = await Promise.all(Array.from({ length: 5 }, () => probe(port)));
  assert.ok(many.every(({ verdict }) => verdict === "answers"));
});

for (const [limit, line] of [
  ["at most SMB 2.0.2", "server max protocol = SMB2_02"],
  ["at most SMB 3.0.2", "server max protocol = SMB3_02"],
  ["at least SMB 3.1.1", "server min protocol = SMB3_11"],
  ["encryption only", "server smb encrypt = required"],
] as const) {
  test(`A2 a real server that speaks ${limit} answers`, { skip: noSmbd ?? false }, async (t) => {
    const port = await startSmbServer(t, [line]);
    assert.equal((await probe(port)).verdict, "answers");
  });
}

test("A2 a real server that speaks SMB 1 only does not answer, and is reported as one", {
  skip: noSmbd ?? false,
}, async (t) => {
  const port = await startSmbServer(t, ["server min protocol = NT1", "server max protocol = NT1"]);
  const finding = await probe(port);
  assert.deepEqual([finding.verdict, finding.reason, finding.tcpAnswered], ["silent", "smb1_only", true]);
  assert.equal(finding.detail, "it does not speak SMB 2: it speaks SMB 1 only");
});

test("A2 a port without a listener is gone", async () => {
  const finding = await probe(await freePort());
  assert.deepEqual(finding, {
    verdict: "gone",
    reason: "refused",
    tcpAnswered: false,
    detail: "connection refused",
    serverGuid: null,
  });
});

test("A2 a peer that accepts and stays silent is silent, not gone, and its socket is ended", async (t) => {
  const peer = await startPeer(t, staySilent);
  const clock = createManualClock();
  const running = startHostProbe(clock, { address: "127.0.0.1", port: peer.port, localAddress: null }, 800);
  await eventually(() => peer.connections === 1);
  // Connected on this side as well: the peer has the question.
  await clock.advance(799);
  assert.equal(peer.open, 1);
  await clock.advance(1);
  const finding = await running.finding;
  assert.deepEqual([finding.verdict, finding.reason, finding.tcpAnswered], ["silent", "smb_timeout", true]);
  assert.match(finding.detail, /800 ms/);
  await eventually(() => peer.open === 0);
  assert.equal(clock.pendingTimers, 0);
});

test("A2 connect and NEGOTIATE share one timeout: a trickling answer that ends too late is silent", async (t) => {
  const clock = createManualClock();
  let dripped = false;
  const peer = await startPeer(t, (socket) => {
    socket.once("data", () =>
      socket.write(NEGOTIATE_ANSWER.subarray(0, 40), () => {
        dripped = true;
      }),
    );
  });
  const running = startHostProbe(clock, { address: "127.0.0.1", port: peer.port, localAddress: null }, 800);
  await eventually(() => dripped);
  await clock.advance(800);
  assert.equal((await running.finding).reason, "smb_timeout");
});

test("A2 an answer in single bytes is an answer", async (t) => {
  const peer = await startPeer(t, (socket) => {
    socket.setNoDelay(true);
    socket.once("data", async () => {
      for (const byte of NEGOTIATE_ANSWER.subarray(0, 100)) {
        await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
        if (socket.destroyed) return;
      }
    });
  });
  assert.equal((await probe(peer.port)).verdict, "answers");
});

test("A2 a peer that speaks another protocol is silent, with its text in the report", async (t) => {
  const banner = await startPeer(t, (socket) => socket.write("SSH-2.0-OpenSSH_9.2p1\r\n"));
  const finding = await probe(banner.port);
  assert.deepEqual([finding.verdict, finding.reason, finding.tcpAnswered], ["silent", "not_smb", true]);
  assert.match(finding.detail, /SSH-2\.0-/);
  const flood = await startPeer(t, (socket) => {
    const more = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 0x41)));
    };
    socket.on("drain", more);
    more();
  });
  assert.equal((await probe(flood.port)).reason, "not_smb");
  await eventually(() => flood.open === 0);
});

test("A2 a peer that closes, or resets, after the connect is silent: it did exist", async (t) => {
  const closing = await startPeer(t, (socket) => socket.end());
  const resetting = await startPeer(t, (socket) => void socket.once("data", () => socket.resetAndDestroy()));
  const half = await startPeer(t, (socket) => socket.end(NEGOTIATE_ANSWER.subarray(0, 30)));
  for (const peer of [closing, resetting, half]) {
    const finding = await probe(peer.port);
    assert.deepEqual([finding.verdict, finding.reason, finding.tcpAnswered], ["silent", "closed", true]);
  }
});

test("A2 a full backlog, where the connect itself gets no answer, is silent", async (t) => {
  // A listener that never accepts, with its queue filled.
  const { port, fill } = await stuckListener(t);
  await fill();
  const finding = await probe(port, { timeoutMs: 300 });
  assert.deepEqual(
    [finding.verdict, finding.reason, finding.tcpAnswered],
    ["silent", "connect_timeout", false],
  );
});

test("A2 the probe leaves from the requested address", { skip: NO_SECOND_ADDRESS }, async (t) => {
  const peer = await startPeer(t, answerNegotiate, "127.0.0.2");
  const finding = await probe(peer.port, { address: "127.0.0.2", localAddress: "127.0.0.1" });
  assert.equal(finding.verdict, "answers");
  assert.deepEqual(peer.from, ["127.0.0.1"]);
  await probe(peer.port, { address: "127.0.0.2", localAddress: "127.0.0.9" });
  assert.equal(peer.from[1], "127.0.0.9");
});

test("A2 a local address that is no longer ours is a link that is down", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  const finding = await probe(peer.port, { localAddress: "192.0.2.77" });
  assert.deepEqual([finding.verdict, finding.reason], ["gone", "link_down"]);
  assert.equal(peer.connections, 0);
});

test("A2 IPv6 is probed, and a link-local address without its interface has no route", async (t) => {
  const peer = await startPeer(t, answerNegotiate, "::1").catch(() => null);
  if (peer === null) return t.skip("no IPv6 loopback");
  assert.equal((await probe(peer.port, { address: "::1" })).verdict, "answers");
  const zoneless = await probe(peer.port, { address: "fe80::1", timeoutMs: 300 });
  assert.equal(zoneless.tcpAnswered, false);
});

test("a probe that is ended early resolves and leaves no socket", async (t) => {
  const peer = await startPeer(t, staySilent);
  const running = startHostProbe(
    systemClock,
    { address: "127.0.0.1", port: peer.port, localAddress: null },
    60_000,
  );
  await eventually(() => peer.open === 1);
  running[Symbol.dispose]();
  assert.equal((await running.finding).verdict, "silent");
  await eventually(() => peer.open === 0);
});

test("A2 an answered probe leaves no TIME_WAIT behind", { skip: LINUX_ALONE }, async (t) => {
  const probed = new Set<number | undefined>();
  const peer = await startPeer(t, (socket) => {
    probed.add(socket.remotePort);
    answerNegotiate(socket);
  });
  // Connections of whoever had the same port before may still be there, or come to their end now.
  const before = new Set(await timeWaitsTowards(peer.port));
  for (let count = 0; count < 20; count += 1) {
    assert.equal((await probe(peer.port, { localAddress: "127.0.0.1" })).verdict, "answers");
  }
  assert.ok(probed.size > 0);
  const left = (await timeWaitsTowards(peer.port)).filter((port) => probed.has(port) && !before.has(port));
  assert.deepEqual(left, []);
});

test("an impossible address is a value, never a throw", async () => {
  assert.equal((await probe(70_000)).verdict, "silent");
});

test("A2 gone is reported only where it is certain", () => {
  const systemError = (code: string, syscall = "connect"): Error =>
    Object.assign(new Error(code), { code, syscall });
  const table = {
    ECONNREFUSED: ["gone", "refused"],
    ENETUNREACH: ["gone", "no_route"],
    EHOSTUNREACH: ["gone", "no_route"],
    EHOSTDOWN: ["gone", "no_route"],
    EADDRNOTAVAIL: ["gone", "no_route"],
    ENETDOWN: ["gone", "link_down"],
    ETIMEDOUT: ["silent", "connect_timeout"],
    ECONNRESET: ["silent", "closed"],
    EACCES: ["silent", "denied"],
    EPERM: ["silent", "denied"],
    EMFILE: ["silent", "local_error"],
    EADDRINUSE: ["silent", "local_error"],
    ESOMETHINGNEW: ["silent", "local_error"],
  };
  for (const [code, expected] of Object.entries(table)) {
    const before = meaningOfError(systemError(code), false);
    assert.deepEqual([before.verdict, before.reason], expected, code);
    assert.equal(before.tcpAnswered, false);
    assert.equal(meaningOfError(systemError(code), true).verdict, "silent", `${code} after the connect`);
  }
  assert.equal(meaningOfError(systemError("EADDRNOTAVAIL", "bind"), false).reason, "link_down");
  assert.equal(meaningOfError(systemError("EADDRINUSE", "bind"), false).reason, "local_error");
});

test("A2 an answer that waits to be read at the deadline counts as an answer", async (t) => {
  let fire = (): void => assert.fail("no deadline was set");
  const clock: Clock = {
    ...systemClock,
    setTimer(_delayMs, callback) {
      fire = callback;
      return { [Symbol.dispose]() {} };
    },
  };
  const peer = await startPeer(t, (socket) =>
    socket.once("data", () => {
      socket.write(NEGOTIATE_ANSWER);
      // A process that is held up: when it goes on, the timer is due, and timers come before what is to be read.
      setTimeout(() => fire(), 1);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }),
  );
  const endpoint = { address: "127.0.0.1", port: peer.port, localAddress: null };
  assert.equal((await startHostProbe(clock, endpoint, 500).finding).verdict, "answers");
});

/** A listening socket whose accept queue can be filled: the event loop that would accept is not running it. */
async function stuckListener(t: TestContext): Promise<{ port: number; fill: () => Promise<void> }> {
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true, execArgv: [] },
  );
  t.after(() => worker.terminate());
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  return {
    port,
    async fill() {
      const { connect } = await import("node:net");
      const sockets = Array.from({ length: 4 }, () => connect(port, "127.0.0.1").on("error", () => {}));
      t.after(() => {
        for (const socket of sockets) socket.destroy();
      });
      await eventually(() => sockets.filter((socket) => !socket.connecting).length >= 2);
    },
  };
}
