// The carrier as a process of its own: it outlives its daemon and its own death, and nobody else ever gets its ports.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFile, cp, readdir, readFile, rm, stat } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundledProgramPath } from "../../../src/relay/client/relay-program.ts";
import { beginExclusive } from "../../../src/runtime/files/sqlite-file-lock.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { ANSWERS_MS, eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_SECOND_ADDRESS } from "../../support/where.ts";
import { kill, openRequest, signal, startBench, untilShare } from "../carrier-bench.ts";
import { startFakeNas } from "../fake-nas.ts";
import { COMMAND, request } from "../smb-messages.ts";

/** Asks once over the port; how it ended: "answered", or an error's code. */
function ask(port: number, withinMs = 15_000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (how: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(how);
    };
    const timer = setTimeout(() => end("late"), withinMs);
    socket.on("connect", () => socket.write(request(COMMAND.read, 1)));
    socket.on("data", () => end("answered"));
    socket.on("end", () => end("ended"));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? "failed"));
  });
}

/** Whether somebody else could listen there now. */
function mayBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1" }, () => server.close(() => resolve(true)));
  });
}

describe("the relay's process", () => {
  test("A10 starts with the first share, relays it, and ends with the last", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t);
    const carrier = bench.connect();
    assert.equal((await carrier.refresh(signal)).size, 0);
    assert.deepEqual(await bench.carriers(), [], "looking starts nothing");
    const share = await carrier.open(openRequest("CORE", nas), signal);
    assert.equal(share.phase, "carrying");
    assert.equal(carrier.shares.get("CORE")?.port, share.port);
    assert.equal(await ask(share.port), "answered");
    const state = await untilShare(carrier, "CORE", ({ connectionsInAll }) => connectionsInAll === 1);
    assert.ok(Math.abs(systemClock.monotonicMs() - (state.lastAnswerAtMs ?? 0)) < 20_000, "times are ours");

    const folder = join(bench.home, "carrier");
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    assert.equal((await stat(join(folder, "control.sock"))).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, "state.json"))).mode & 0o777, 0o600);
    assert.equal((await bench.keepers()).length, 1);

    const pid = await bench.carrierPid();
    await carrier.close("CORE", signal);
    assert.equal(carrier.shares.size, 0);
    assert.equal(await mayBind(share.port), true);
    await carrier.open(openRequest("DATA", nas), signal);
    assert.equal(await bench.carrierPid(), pid, "a mount that moves finds it there");
    await carrier.close("DATA", signal);
    await eventually(async () => (await bench.carriers()).length + (await bench.keepers()).length === 0);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith(".sock")),
      [],
    );
    assert.equal((await carrier.open(openRequest("CORE", nas), signal)).share, "CORE", "and starts again");
  });

  test("without the path of a home it ends at once, and makes no folder", async (t) => {
    const cwd = await temporaryFolder(t);
    const program = fileURLToPath(new URL("../../../src/relay/service/relay-process.ts", import.meta.url));
    for (const args of [[], ["home"]]) {
      const ended = spawnSync(process.execPath, [program, ...args], {
        cwd,
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, /usage: carrier\.mjs HOME/);
    }
    assert.deepEqual(await readdir(cwd), []);
  });

  test("A10 two daemons that start a relay at once get the same one", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t);
    const opened = await Promise.all(
      ["ONE", "TWO", "THREE"].map((name) => bench.connect().open(openRequest(name, nas), signal)),
    );
    assert.equal(new Set(opened.map(({ port }) => port)).size, 3);
    await eventually(async () => (await bench.carriers()).length === 1);
    assert.equal((await bench.connect().refresh(signal)).size, 3);
  });

  test("A10 killed with its socket holder it has lost the port, and reports it", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t);
    const { carrier, notices } = bench.connectConfirming();
    await carrier.open(openRequest("CORE", nas), signal);
    const [pid, keeper] = [await bench.carrierPid(), await bench.keeperPid()];
    kill(keeper, "SIGSTOP");
    kill(pid);
    kill(keeper);
    await eventually(() => notices.some(({ share, what }) => share === "CORE" && what === "gone"));
    assert.equal(carrier.shares.size, 0);
    await carrier.open(openRequest("DATA", nas), signal);
    assert.deepEqual([...(await carrier.refresh(signal)).keys()], ["DATA"]);
  });

  test("A10 without a daemon it takes the other route when its own is gone, never returns, and records the move", {
    skip: NO_SECOND_ADDRESS,
  }, async (t) => {
    const nas = await startFakeNas();
    const other = await startFakeNas({ host: "127.0.0.2" });
    t.after(() => Promise.all([nas.stop(), other.stop()]));
    const bench = await startBench(t);
    const first = bench.connect();
    const { port } = await first.open(openRequest("CORE", nas, other), signal);
    await untilGuidKnown(bench.home);
    await untilShare(first, "CORE", ({ witness }) => (witness ?? null) !== null);
    await first[Symbol.asyncDispose]();
    await nas.stop();
    assert.equal(await ask(port), "answered");
    assert.ok(other.joined().length > 0);
    await nas.start();
    // Time for more than one of its looks.
    await systemClock.sleep(1_200);
    assert.equal(await ask(port), "answered");
    const next = bench.connect();
    assert.equal((await untilShare(next, "CORE", () => true)).route, "fallback");
    const [entry, ...more] = await next.takeJournal(signal);
    assert.deepEqual(
      { share: entry?.share, from: entry?.from, to: entry?.to, more: more.length },
      { share: "CORE", from: "tb", to: "fallback", more: 0 },
    );
    assert.deepEqual(await next.takeJournal(signal), []);
  });

  test("A13 without a daemon it moves to no server that appeared after the proof, and refuses an earlier command", {
    skip: NO_SECOND_ADDRESS,
  }, async (t) => {
    const nas = await startFakeNas();
    const other = await startFakeNas({ host: "127.0.0.2" });
    t.after(() => Promise.all([nas.stop(), other.stop()]));
    const bench = await startBench(t);
    const first = bench.connect();
    const { port, epoch = null } = await first.open(openRequest("CORE", nas, other), signal);
    await untilGuidKnown(bench.home);
    await untilShare(first, "CORE", ({ witness }) => (witness ?? null) !== null);
    // A copy with the same ServerGuid takes its place.
    await other.stop();
    await other.start();
    await untilShare(first, "CORE", ({ witness }) => witness === null);
    await first[Symbol.asyncDispose]();
    await nas.stop();
    const asked = ask(port, ANSWERS_MS * 3);
    await untilDecided(bench.home);
    assert.equal(await ask(port, 200), "late");
    assert.equal(other.joined().length, 0);
    const next = bench.connect();
    const waiting = await untilShare(next, "CORE", () => true);
    assert.deepEqual([waiting.route, waiting.phase], ["tb", "waiting"]);
    const [entry] = await next.takeJournal(signal);
    assert.deepEqual([entry?.from, entry?.to], ["tb", "tb"], "it says that it waited");
    const move = { share: "CORE", to: "fallback", endpoint: other.endpoint, planned: false } as const;
    const refused = await next.move({ ...move, epoch }, signal);
    assert.equal(refused.ok, false);
    await assert.rejects(next.pause("CORE", epoch, signal), { code: "aborted" });
    assert.equal((await next.move({ ...move, epoch: waiting.epoch ?? null }, signal)).ok, true);
    assert.equal(await asked, "answered");
  });

  test("A10 never moves to a different server while the daemon is gone, and confirms none", {
    skip: NO_SECOND_ADDRESS,
  }, async (t) => {
    const nas = await startFakeNas();
    const other = await startFakeNas({ host: "127.0.0.2", guid: Buffer.alloc(16, 9) });
    t.after(() => Promise.all([nas.stop(), other.stop()]));
    const bench = await startBench(t);
    const first = bench.connect();
    const { port } = await first.open(openRequest("CORE", nas, other), signal);
    await untilGuidKnown(bench.home);
    await first[Symbol.asyncDispose]();
    await nas.stop();
    const asked = ask(port, ANSWERS_MS * 3);
    // It asks the other one who it is, and does so again: what it heard kept it away.
    const before = other.connections.length;
    await eventually(() => other.connections.length >= before + 2);
    assert.equal(await ask(port, 200), "late");
    nas.guid = Buffer.alloc(16, 8);
    const { length } = nas.connections;
    await nas.start();
    await eventually(() => nas.connections.length > length);
    assert.equal(await ask(port, 1_000), "late", "another server in its place");
    assert.equal(other.joined().length, 0);
    await nas.stop();
    // The right one again, and a daemon.
    const next = bench.connect();
    await next.refresh(signal);
    nas.guid = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
    await nas.start();
    const { phase, outage } = await untilShare(next, "CORE", (share) => share.phase !== "waiting");
    assert.equal(phase, "unconfirmed");
    assert.ok(outage !== null);
    await next.confirm("CORE", outage - 1, signal);
    const still = (await next.refresh(signal)).get("CORE");
    assert.equal(still?.phase, "unconfirmed", "proved before its server was lost again");
    await next.confirm("CORE", outage, signal);
    assert.equal(await asked, "answered");
  });

  test("A10 it outlives its daemon, and a newer one finds and uses it, until it has nothing left to relay", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t);
    const first = bench.connect();
    const { port } = await first.open(openRequest("CORE", nas), signal);
    await first[Symbol.asyncDispose]();
    assert.equal(await ask(port), "answered");
    const pid = await bench.carrierPid();
    const newer = join(await temporaryFolder(t), "relay-process.js");
    await cp(await bundledProgramPath(), newer);
    await appendFile(newer, "\n// a newer one\n");
    const next = bench.connect(newer);
    await eventually(() => next.shares.get("CORE")?.port === port);
    assert.equal((await next.open(openRequest("DATA", nas), signal)).share, "DATA");
    assert.equal(await bench.carrierPid(), pid);
    assert.equal(await ask(port), "answered");
    const programs = async () =>
      (await readdir(join(bench.home, "carrier"))).filter((name) => name.startsWith("program-"));
    const [old] = await programs();
    await next.close("CORE", signal);
    await next.close("DATA", signal);
    await next[Symbol.asyncDispose]();
    await eventually(async () => (await bench.carriers()).length === 0);
    await bench.connect(newer).open(openRequest("CORE", nas), signal);
    assert.notEqual(await bench.carrierPid(), pid);
    await eventually(async () => (await programs()).length === 1);
    assert.notEqual((await programs())[0], old, "the old copy is gone");
  });

  test("A10 works in a home whose path is too long for a socket", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t, join("a".repeat(80), "b".repeat(80)));
    const { carrier } = bench.connectConfirming();
    const { port } = await carrier.open(openRequest("CORE", nas), signal);
    const { socket } = JSON.parse(await readFile(join(bench.home, "carrier/socket.json"), "utf8"));
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
    kill(await bench.carrierPid());
    assert.equal(await ask(port), "answered");
    // It serves its port a moment before it can be asked.
    await eventually(async () => (await carrier.refresh(signal)).size === 1);
    await carrier.close("CORE", signal);
    await carrier[Symbol.asyncDispose]();
    await eventually(async () => (await bench.carriers()).length === 0);
    await assert.rejects(stat(socket), { code: "ENOENT" });
  });

  test("F3 a relay whose home was removed ends, and does not create the home again", async (t) => {
    await using nas = await startFakeNas();
    const bench = await startBench(t);
    const { carrier } = bench.connectConfirming();
    await carrier.open(openRequest("CORE", nas), signal);
    // The log looks for its file once a second.
    await systemClock.sleep(1_100);
    await rm(bench.home, { recursive: true });
    await carrier.close("CORE", signal);
    await carrier[Symbol.asyncDispose]();
    await eventually(async () => (await bench.carriers()).length === 0);
    await assert.rejects(stat(bench.home), { code: "ENOENT" });
  });

  test("A10 it handles twenty shares and two hundred clients that return at once, over a move and a death", {
    skip: NO_SECOND_ADDRESS,
  }, async (t) => {
    const nas = await startFakeNas();
    const other = await startFakeNas({ host: "127.0.0.2", port: await freePort() });
    t.after(() => Promise.all([nas.stop(), other.stop()]));
    const bench = await startBench(t);
    const { carrier } = bench.connectConfirming();
    const names = Array.from({ length: 20 }, (_, index) => `SHARE-${index}`);
    const ports = await Promise.all(
      names.map(async (name) => (await carrier.open(openRequest(name, nas, other), signal)).port),
    );
    const ending = new AbortController();
    const sockets = new Set<Socket>();
    t.after(() => {
      ending.abort();
      for (const socket of sockets) socket.destroy();
    });
    let answers = 0;
    /** Reconnects whenever it is cut off, and asks once each time, and now and then once more. */
    const client = (port: number): void => {
      if (ending.signal.aborted) return;
      const socket = connect(port, "127.0.0.1");
      let again: NodeJS.Timeout | undefined;
      sockets.add(socket);
      socket.on("connect", () => socket.write(request(COMMAND.read, 1)));
      socket.on("data", () => {
        answers += 1;
        clearInterval(again);
        again = setInterval(() => socket.write(request(COMMAND.create, 2)), 1_000);
      });
      socket.on("error", () => {});
      socket.on("close", () => {
        clearInterval(again);
        sockets.delete(socket);
        client(port);
      });
    };
    for (const port of ports) for (let count = 0; count < 10; count += 1) client(port);
    await eventually(() => answers >= 200, 60_000);
    // On a busy machine a move may take longer than its deadline, and have been made all the same.
    const moveOnce = (share: string) =>
      carrier
        .move({ share, to: "fallback", endpoint: other.endpoint, planned: false }, signal)
        .then(({ ok }) => ok)
        .catch(() => false);
    await Promise.all(names.map((share) => eventually(() => moveOnce(share), 60_000)));
    await eventually(() => answers >= 400, 60_000);
    const before = await bench.carrierPid();
    kill(before);
    await eventually(() => answers >= 600, 60_000);
    ending.abort();
    for (const socket of sockets) socket.destroy();
    // Answers may have come before the death was noticed: the one that comes back tells of all once it is there.
    await eventually(async () => (await carrier.refresh(signal)).size === names.length, 60_000);
    const states = await carrier.refresh(signal);
    assert.deepEqual([...states.values()].map(({ port }) => port).sort(), [...ports].sort());
    assert.deepEqual(new Set([...states.values()].map(({ route }) => route)), new Set(["fallback"]));
  });
});

describe("a relay that is killed", () => {
  const ends: (() => unknown)[] = [];
  after(async () => {
    for (const end of ends) await end();
  });
  const begin = async () => {
    const nas = await startFakeNas();
    const bench = await startBench({ after: (end) => void ends.push(end) });
    ends.push(() => nas.stop());
    const { carrier, notices } = bench.connectConfirming();
    const { port } = await carrier.open(openRequest("CORE", nas), signal);
    await carrier.open(openRequest("DATA", nas), signal);
    return { bench, carrier, notices, port };
  };
  let begun: ReturnType<typeof begin>;
  before(() => {
    begun = begin();
    return begun;
  });

  test("A10 it restarts with its ports, and pauses connections made before then", async () => {
    const { bench, carrier, notices, port } = await begun;
    assert.equal(await ask(port), "answered");
    const before = await bench.carrierPid();
    kill(before);
    assert.deepEqual(await Promise.all([ask(port), ask(port), ask(port)]), [
      "answered",
      "answered",
      "answered",
    ]);
    await bench.carrierPid(before);
    const state = await untilShare(carrier, "CORE", ({ phase }) => phase === "carrying");
    assert.equal(state.port, port);
    assert.equal((await bench.keepers()).length, 1);
    assert.deepEqual(
      notices.filter(({ what }) => what === "gone"),
      [],
    );
  });

  test("A10 it restarts although another start is just checking whether one is needed", async () => {
    const { bench, port } = await begun;
    const [before, keeper] = await Promise.all([bench.carrierPid(), bench.keeperPid()]);
    kill(keeper, "SIGSTOP");
    kill(before);
    const look = await eventually(() => beginExclusive(join(bench.home, "carrier/lock.db")));
    kill(keeper, "SIGCONT");
    await bench.carrierPid(before);
    // Time for the new one to find the lock taken.
    await systemClock.sleep(400);
    look.release();
    assert.equal(await ask(port), "answered");
  });

  test("A10 a killed socket holder is replaced, and the next death is survived as well", async () => {
    const { bench, port } = await begun;
    for (let round = 0; round < 2; round += 1) {
      const keeper = await bench.keeperPid();
      kill(keeper);
      await bench.keeperPid(keeper);
      const before = await bench.carrierPid();
      kill(before);
      assert.equal(await ask(port), "answered");
      await bench.carrierPid(before);
    }
  });

  test("A10 no other program can take its port: not while none runs, and not while the next one is killed on arrival", async () => {
    const { bench, carrier, port } = await begun;
    let tries = 0;
    const tryFor = async (until: Promise<unknown>): Promise<void> => {
      let isOver = false;
      void until.finally(() => {
        isOver = true;
      });
      do {
        assert.equal(await mayBind(port), false, `taken at try ${tries}`);
        tries += 1;
        await systemClock.sleep(5);
      } while (!isOver);
    };
    const keeper = await bench.keeperPid();
    kill(keeper, "SIGSTOP");
    let pid = await bench.carrierPid();
    kill(pid);
    await tryFor(systemClock.sleep(50));
    kill(keeper, "SIGCONT");
    for (let round = 0; round < 4; round += 1) {
      const next = bench.carrierPid(pid);
      await tryFor(next);
      pid = await next;
      // At another point of its start in each round: the first has not come far, the last is about to serve.
      await tryFor(systemClock.sleep(round * 60));
      kill(pid);
    }
    await tryFor(bench.carrierPid(pid));
    assert.ok(tries > 20, `${tries} tries`);
    assert.equal(await ask(port), "answered");
    assert.equal((await untilShare(carrier, "CORE", () => true)).port, port);
  });
});

async function stateOf(home: string) {
  return JSON.parse(await readFile(join(home, "carrier/state.json"), "utf8"));
}

async function untilGuidKnown(home: string): Promise<void> {
  await eventually(async () => typeof (await stateOf(home)).shares[0]?.guid === "string");
}

/** Until it has written down what it does without a daemon. */
async function untilDecided(home: string): Promise<void> {
  await eventually(async () => (await stateOf(home)).journal.length > 0);
}
