import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import type { NetworkDelta } from "../../../../src/network/listen/events/network-delta.ts";
import { rtnetlinkSource } from "../../../../src/network/listen/linux/rtnetlink-listener.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  createNetworkNamespace,
  type NetworkNamespace,
  namespacesUnavailable,
} from "../../../support/network-namespace.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { type LineProgram, talkTo } from "../../line-reader.ts";

const skip = (await namespacesUnavailable()) ?? false;
const onLinux = process.platform === "linux" ? false : "rtnetlink is Linux's";
const program = (name: string): string => new URL(`../../programs/${name}`, import.meta.url).pathname;

/** A thread that nobody wakes waits ten seconds in the system and would hold up the process so long; else it is none. */
const WAITING_THREAD_MS = 8_000;

interface Rig {
  readonly near: NetworkNamespace;
  readonly far: NetworkNamespace;
  readonly listener: LineProgram;
}

/** Two namespaces joined by `tb0` and `far`, and a listener in the near one whose events flow. */
async function createRig(t: TestContext, threadUrl?: string): Promise<Rig> {
  const near = await createNetworkNamespace(t);
  const far = await createNetworkNamespace(t);
  // With equal indexes at both ends the kernel tells a lost carrier up to a second late.
  await far.ip("link", "add", "spare0", "type", "veth", "peer", "name", "spare1");
  await near.ip("link", "add", "tb0", "type", "veth", "peer", "name", "far", "netns", far.name);
  await near.ip("addr", "add", "10.99.1.2/24", "dev", "tb0");
  await far.ip("addr", "add", "10.99.1.1/24", "dev", "far");
  await near.ip("link", "set", "tb0", "up");
  await far.ip("link", "set", "far", "up");
  const args = threadUrl === undefined ? [] : [threadUrl];
  const listener = talkTo(near.spawn(process.execPath, [program("listen.ts"), ...args]));
  await listener.waitFor((line) => line["log"] === "network events flow");
  return { near, far, listener };
}

/** Waits for a delta that says `text`; gives by which source it was heard. */
async function heard(listener: LineProgram, text: string, from = 0): Promise<unknown> {
  const line = await listener.waitFor(({ deltas }) => Array.isArray(deltas) && deltas.includes(text), from);
  return line["source"];
}

const HIDDEN = "something changed (an address or a route)";

test("A3 each change is heard by the system's word; what is down, or without carrier, is not in the system's list", {
  skip,
}, async (t) => {
  const { near, far, listener } = await createRig(t);
  const after = async (change: Promise<unknown>, text: string): Promise<void> => {
    const from = listener.lines.length;
    await change;
    assert.equal(await heard(listener, text, from), "rtnetlink", "not by a poll");
  };
  const listed = (...expected: readonly string[]): Promise<unknown> =>
    eventually(async () => {
      const from = listener.lines.length;
      listener.send("interfaces");
      const { interfaces } = await listener.waitFor((line) => "interfaces" in line, from);
      return String(interfaces) === String(expected);
    });
  await listed("lo", "tb0");
  await far.ip("link", "set", "far", "down");
  await heard(listener, "tb0 went down");
  await listed("lo");
  await far.ip("link", "set", "far", "up");
  await heard(listener, "tb0 went up");
  await listed("lo", "tb0");
  await after(near.ip("link", "set", "tb0", "down"), "tb0 went down");
  await listed("lo");
  await after(near.ip("link", "set", "tb0", "up"), "tb0 went up");
  await after(near.ip("addr", "add", "10.98.0.1/24", "dev", "tb0"), "tb0 got address 10.98.0.1");
  await after(near.ip("addr", "del", "10.98.0.1/24", "dev", "tb0"), "tb0 lost address 10.98.0.1");
  await after(
    near.ip("-6", "addr", "add", "fd00:99::2/64", "dev", "tb0", "nodad"),
    "tb0 got address fd00:99::2",
  );
  await after(near.ip("route", "add", "10.77.0.0/16", "via", "10.99.1.1"), HIDDEN);
  await after(near.ip("route", "add", "default", "via", "10.99.1.1"), HIDDEN);
  await after(near.ip("route", "del", "10.77.0.0/16"), HIDDEN);
  listener.send("stop");
  const { threadEndedWith } = await listener.waitFor((line) => "threadEndedWith" in line);
  assert.equal(threadEndedWith, 0, "the thread heard that it was to end, and was not ended");
  assert.equal((await listener.ended()).code, 0);
});

test("A3 a cable is heard behind a bridge that stays up by another port", { skip }, async (t) => {
  const { near, far, listener } = await createRig(t);
  await near.ip("link", "add", "br0", "type", "bridge");
  await near.ip("link", "add", "tap0", "type", "veth", "peer", "name", "tap1");
  for (const name of ["tap0", "tap1"]) await near.ip("link", "set", name, "up");
  for (const name of ["tap0", "tb0"]) await near.ip("link", "set", name, "master", "br0");
  await near.ip("addr", "flush", "dev", "tb0");
  await near.ip("addr", "add", "10.99.1.2/24", "dev", "br0");
  await near.ip("link", "set", "br0", "up");
  await heard(listener, "br0 went up");
  for (const state of ["down", "up"]) {
    const from = listener.lines.length;
    await far.ip("link", "set", "far", state);
    await heard(listener, "something changed (a link)", from);
  }
});

test("an address that is only to last longer is nothing new, as a router's advertisements make it", {
  skip,
}, async (t) => {
  const { near, listener } = await createRig(t);
  const from = listener.lines.length;
  for (let seconds = 900; seconds < 920; seconds += 1) {
    const until = ["valid_lft", String(seconds), "preferred_lft", String(seconds)];
    await near.ip("addr", "change", "10.99.1.2/24", "dev", "tb0", ...until);
  }
  await near.ip("addr", "add", "10.98.0.1/24", "dev", "tb0");
  await heard(listener, "tb0 got address 10.98.0.1", from);
  const said = listener.lines.slice(from).filter(({ deltas }) => String(deltas).includes(HIDDEN));
  // Not twenty: the first, and what the link itself brings while it comes up.
  assert.ok(said.length <= 8, `said ${said.length} times`);
});

test("A3 a hundred flaps are heard to the right end", { skip }, async (t) => {
  const { near, listener } = await createRig(t);
  const flaps = Array.from({ length: 100 }, () => "link set tb0 down\nlink set tb0 up\n").join("");
  const batch = near.spawn("ip", ["-batch", "-"]);
  batch.stdin.end(flaps);
  await eventually(() => batch.exitCode === 0, 60_000);
  await near.ip("link", "set", "tb0", "down");
  const deltas = (): unknown[] =>
    listener.lines.flatMap((line) => (Array.isArray(line["deltas"]) ? line["deltas"] : []));
  await eventually(() => deltas().findLast((text) => /went|carrier/.test(String(text))) === "tb0 went down");
  listener.send("interfaces");
  const { interfaces } = await listener.waitFor((line) => "interfaces" in line);
  assert.deepEqual(interfaces, ["lo"]);
});

test("A3 an overflow is said, and changes after it are heard", { skip }, async (t) => {
  const { near, listener } = await createRig(t);
  // More than the socket's buffer holds while the thread that reads it is stopped.
  const routes = (verb: string): string =>
    Array.from(
      { length: 12_000 },
      (_, index) => `route ${verb} 10.${100 + (index >> 8)}.${index & 255}.0/24 dev tb0\n`,
    ).join("");
  listener.stop();
  const batch = near.spawn("ip", ["-batch", "-"]);
  batch.stdin.end(routes("add"));
  await eventually(() => batch.exitCode === 0, 60_000);
  await near.ip("link", "set", "tb0", "down");
  listener.goOn();
  await listener.waitFor(
    ({ deltas }) =>
      Array.isArray(deltas) && deltas.some((text) => String(text).startsWith("something changed")),
  );
  await heard(listener, "tb0 went down");
  const from = listener.lines.length;
  await near.ip("link", "set", "tb0", "up");
  await heard(listener, "tb0 went up", from);
});

for (const [how, end, code, signal] of [
  ["process.exit", (listener: LineProgram) => listener.send("exit"), 7, null],
  ["an uncaught error", (listener: LineProgram) => listener.send("throw"), 1, null],
  ["SIGTERM", (listener: LineProgram) => listener.kill("SIGTERM"), null, "SIGTERM"],
  ["SIGKILL", (listener: LineProgram) => listener.kill("SIGKILL"), null, "SIGKILL"],
] as const) {
  test(`${how} while the thread waits ends the process at once, and as ever`, { skip }, async (t) => {
    const { listener } = await createRig(t);
    end(listener);
    const ended = await listener.ended();
    assert.deepEqual([ended.code, ended.signal], [code, signal]);
    assert.equal(listener.stderr().includes("uncaught on purpose"), code === 1);
    assert.ok(ended.afterMs < WAITING_THREAD_MS, `${ended.afterMs} ms`);
  });
}

test("events that come while the main thread is busy are heard after it", { skip }, async (t) => {
  const { near, listener } = await createRig(t);
  const goOn = join(await temporaryFolder(t), "go-on");
  listener.send(`block until ${goOn}`);
  await listener.waitFor((line) => line["blocked"] === true);
  // Down and up again: the list is what it was, and its routes had gone with it.
  await near.ip("link", "set", "tb0", "down");
  await near.ip("link", "set", "tb0", "up");
  await writeFile(goOn, "");
  await heard(listener, HIDDEN);
});

test("A3 a crashing thread leaves the process alive and polling", { skip }, async (t) => {
  const { near, listener } = await createRig(
    t,
    new URL("../../programs/crash-soon.mjs", import.meta.url).href,
  );
  const ended = await listener.waitFor((line) => String(line["log"]).startsWith("network events ended"));
  assert.equal(ended["error"], "crashed on purpose");
  await near.ip("link", "set", "tb0", "down");
  await heard(listener, "tb0 went down");
  listener.send("stop");
  assert.equal((await listener.ended()).code, 0);
});

test("the published layout finds its thread; without koffi it polls, warns once, and lives", {
  skip,
}, async (t) => {
  const folder = await publishedLayout(t);
  const near = await createNetworkNamespace(t);
  const lone = talkTo(near.spawn(process.execPath, [join(folder, "test/network/programs/listen.js")]));
  const warned = await lone.waitFor((line) =>
    String(line["log"]).startsWith("network events are not available"),
  );
  assert.match(String(warned["error"]), /koffi/);
  lone.send("source");
  await lone.waitFor((line) => line["source"] === "polling");
  await near.ip("link", "add", "tb0", "type", "veth", "peer", "name", "tb1");
  await near.ip("addr", "add", "10.99.1.2/24", "dev", "tb0");
  await near.ip("link", "set", "tb1", "up");
  await near.ip("link", "set", "tb0", "up");
  await heard(lone, "tb0 went up");
  lone.send("stop");
  assert.equal((await lone.ended()).code, 0);
  assert.equal(lone.lines.filter((line) => String(line["log"]).startsWith("network events")).length, 1);

  await symlink(new URL("../../../../node_modules", import.meta.url).pathname, join(folder, "node_modules"));
  const whole = talkTo(near.spawn(process.execPath, [join(folder, "test/network/programs/listen.js")]));
  await whole.waitFor((line) => line["log"] === "network events flow");
  whole.send("stop");
  assert.equal((await whole.ended()).code, 0);
});

/** The listener and its program as plain JavaScript, the way a published package has them. */
async function publishedLayout(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const root = new URL("../../../../", import.meta.url);
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const part of ["src/network", "src/runtime", "test/network/programs"]) {
    await mkdir(join(folder, part), { recursive: true });
    for (const name of await readdir(new URL(part, root), { recursive: true })) {
      if (!name.endsWith(".ts")) continue;
      const source = await readFile(new URL(`${part}/${name}`, root), "utf8");
      const plain = stripTypeScriptTypes(source).replaceAll(/(from "\..*)\.ts";/g, '$1.js";');
      const path = join(folder, part, name.replace(/ts$/, "js"));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, plain);
    }
  }
  return folder;
}

test("a thread that cannot be woken holds up neither disposal nor the process", {
  skip: onLinux,
  timeout: 60_000,
}, async () => {
  const source = rtnetlinkSource(new URL("../../programs/spin.mjs", import.meta.url));
  const ready = Promise.withResolvers<void>();
  const running = source.start({ onReady: ready.resolve, onChange() {}, onEnd: () => assert.fail("ended") });
  await ready.promise;
  await running[Symbol.asyncDispose]();
});

test("a thread program that is not there is a crash that is told, not thrown", {
  skip: onLinux,
}, async () => {
  const source = rtnetlinkSource(new URL("./programs/nowhere.mjs", import.meta.url));
  const ended = Promise.withResolvers<string>();
  const running = source.start({
    onReady: assert.fail,
    onChange() {},
    onEnd: ({ kind }) => ended.resolve(kind),
  });
  assert.equal(await ended.promise, "crashed");
  await running[Symbol.asyncDispose]();
});

test("starting and stopping over and over leaks no descriptor, whenever the stop comes", {
  skip: onLinux,
}, async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const once = async (stopWhen: "at once" | "ready"): Promise<void> => {
    const ready = Promise.withResolvers<void>();
    const heardAfter: (readonly NetworkDelta[])[] = [];
    const running = rtnetlinkSource().start({
      onReady: ready.resolve,
      onChange: (deltas) => heardAfter.push(deltas),
      onEnd: ({ error }) => ready.reject(error),
    });
    if (stopWhen === "ready") await ready.promise;
    await running[Symbol.asyncDispose]();
  };
  await once("ready");
  const before = descriptors();
  for (let count = 0; count < 5; count += 1) {
    await once("ready");
    await once("at once");
  }
  await eventually(() => descriptors() <= before);
});
