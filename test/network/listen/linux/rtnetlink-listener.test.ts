import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import test, { after, before, beforeEach, describe, type TestContext } from "node:test";
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
/** A thread that nobody wakes waits ten seconds in the system and would hold up the process so long; else it is none. */
const WAITING_THREAD_MS = 8_000;

const startListener = (near: NetworkNamespace, program: string): LineProgram =>
  talkTo(near.spawn(process.execPath, [program]));
const flowing = (listener: LineProgram): Promise<unknown> =>
  listener.waitFor((line) => line["log"] === "network events flow");

/** Waits for a delta that says `text`; gives by which source it was heard. */
async function heard(listener: LineProgram, text: string, from = 0): Promise<unknown> {
  const line = await listener.waitFor(({ deltas }) => Array.isArray(deltas) && deltas.includes(text), from);
  return line["source"];
}

const PROGRAM = new URL("../../programs/listen.ts", import.meta.url).pathname;
const ADDRESS = "10.99.1.2/24";
const HIDDEN = "something changed (an address or a route)";

describe("next to one listener", { skip }, () => {
  const ends = new AsyncDisposableStack();
  let near: NetworkNamespace;
  let far: NetworkNamespace;
  let listener: LineProgram;

  /** Two namespaces joined by `tb0` and `far`, and a listener in the near one whose events flow. */
  before(async () => {
    const scope = { after: (end: () => unknown) => ends.defer(async () => void (await end())) };
    near = await createNetworkNamespace(scope);
    far = await createNetworkNamespace(scope);
    // With equal indexes at both ends the kernel tells a lost carrier up to a second late.
    await far.ip("link", "add", "spare0", "type", "veth", "peer", "name", "spare1");
    await near.ip("link", "add", "tb0", "type", "veth", "peer", "name", "far", "netns", far.name);
    await near.ip("addr", "add", ADDRESS, "dev", "tb0");
    await far.ip("addr", "add", "10.99.1.1/24", "dev", "far");
    await near.ip("link", "set", "tb0", "up");
    await far.ip("link", "set", "far", "up");
    listener = startListener(near, PROGRAM);
    await flowing(listener);
  });
  after(() => ends.disposeAsync());
  /** How many lines were told before the test. */
  let told = 0;
  beforeEach(() => {
    told = listener.lines.length;
  });

  test("A3 each change is reported by the system's event; an interface that is down, or has no link, is not in the system's list", async () => {
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
    await heard(listener, "tb0 went down", told);
    await listed("lo");
    await far.ip("link", "set", "far", "up");
    await heard(listener, "tb0 went up", told);
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
  });

  test("an address whose lifetime is only extended is not a change, as a router's advertisements do it", async () => {
    for (let seconds = 900; seconds < 920; seconds += 1) {
      const until = ["valid_lft", String(seconds), "preferred_lft", String(seconds)];
      await near.ip("addr", "change", "10.99.1.2/24", "dev", "tb0", ...until);
    }
    await near.ip("addr", "add", "10.98.0.1/24", "dev", "tb0");
    await heard(listener, "tb0 got address 10.98.0.1", told);
    const said = listener.lines.slice(told).filter(({ deltas }) => String(deltas).includes(HIDDEN));
    // Not twenty: the first, and what the link itself brings while it comes up.
    assert.ok(said.length <= 8, `said ${said.length} times`);
  });

  test("A3 a hundred flaps are received up to the correct end", async () => {
    const flaps = Array.from({ length: 100 }, () => "link set tb0 down\nlink set tb0 up\n").join("");
    const batch = near.spawn("ip", ["-batch", "-"]);
    batch.stdin.end(flaps);
    await eventually(() => batch.exitCode === 0, 60_000);
    await near.ip("link", "set", "tb0", "down");
    const deltas = (): unknown[] =>
      listener.lines.slice(told).flatMap((line) => (Array.isArray(line["deltas"]) ? line["deltas"] : []));
    await eventually(
      () => deltas().findLast((text) => /went|carrier/.test(String(text))) === "tb0 went down",
    );
    listener.send("interfaces");
    const { interfaces } = await listener.waitFor((line) => "interfaces" in line, told);
    assert.deepEqual(interfaces, ["lo"]);
    const from = listener.lines.length;
    await near.ip("link", "set", "tb0", "up");
    await heard(listener, "tb0 went up", from);
  });

  test("A3 an overflow is reported, and changes after it are received", async () => {
    // More than the socket's buffer holds while the thread that reads it is stopped.
    const routes = Array.from(
      { length: 6_000 },
      (_, index) => `route add 10.${100 + (index >> 8)}.${index & 255}.0/24 dev tb0\n`,
    );
    listener.stop();
    const batch = near.spawn("ip", ["-batch", "-"]);
    batch.stdin.end(routes.join(""));
    await eventually(() => batch.exitCode === 0, 60_000);
    await near.ip("link", "set", "tb0", "down");
    listener.goOn();
    await heard(listener, "tb0 went down", told);
    const from = listener.lines.length;
    await near.ip("link", "set", "tb0", "up");
    await heard(listener, "tb0 went up", from);
  });

  test("events that arrive while the main thread is busy are received after it", async (t) => {
    const goOn = join(await temporaryFolder(t), "go-on");
    listener.send(`block until ${goOn}`);
    await listener.waitFor((line) => line["blocked"] === true);
    const from = listener.lines.length;
    // Down and up again: the list may be what it was, but for the link's own address.
    await near.ip("link", "set", "tb0", "down");
    await near.ip("link", "set", "tb0", "up");
    await writeFile(goOn, "");
    await listener.waitFor(({ deltas }) => String(deltas).includes("tb0"), from);
  });

  test("A3 a cable is noticed behind a bridge that stays up by another port", async () => {
    await near.ip("link", "add", "br0", "type", "bridge");
    await near.ip("link", "add", "tap0", "type", "veth", "peer", "name", "tap1");
    for (const name of ["tap0", "tap1"]) await near.ip("link", "set", name, "up");
    for (const name of ["tap0", "tb0"]) await near.ip("link", "set", name, "master", "br0");
    await near.ip("addr", "flush", "dev", "tb0");
    await near.ip("addr", "add", "10.99.1.2/24", "dev", "br0");
    await near.ip("link", "set", "br0", "up");
    await heard(listener, "br0 went up", told);
    for (const state of ["down", "up"]) {
      const from = listener.lines.length;
      await far.ip("link", "set", "far", state);
      await heard(listener, "something changed (the link of tb0)", from);
    }
  });

  for (const [how, end, code, signal] of [
    ["process.exit", (one: LineProgram) => one.send("exit"), 7, null],
    ["an uncaught error", (one: LineProgram) => one.send("throw"), 1, null],
    ["SIGTERM", (one: LineProgram) => one.kill("SIGTERM"), null, "SIGTERM"],
  ] as const) {
    test(`${how} while the thread waits ends the process at once, as usual`, async () => {
      const one = startListener(near, PROGRAM);
      await flowing(one);
      end(one);
      const ended = await one.ended();
      assert.deepEqual([ended.code, ended.signal], [code, signal]);
      assert.equal(one.stderr().includes("uncaught on purpose"), code === 1);
      assert.ok(ended.afterMs < WAITING_THREAD_MS, `${ended.afterMs} ms`);
    });
  }

  test("a listener that is stopped ends its thread, and with it the process", async () => {
    listener.send("stop");
    const { threadEndedWith } = await listener.waitFor((line) => "threadEndedWith" in line);
    assert.equal(threadEndedWith, 0, "the thread heard that it was to end, and was not ended");
    assert.equal((await listener.ended()).code, 0);
  });
});

test("the published layout finds its thread; without koffi it polls, warns once, and lives", {
  skip,
}, async (t) => {
  const folder = await publishedLayout(t);
  const near = await createNetworkNamespace(t);
  const program = join(folder, "test/network/programs/listen.js");
  const lone = startListener(near, program);
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
  const whole = startListener(near, program);
  await flowing(whole);
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

test("starting and stopping repeatedly leaks no descriptor, whenever the stop happens", {
  skip: onLinux,
}, async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const once = async (stopWhen: "at once" | "ready"): Promise<void> => {
    const ready = Promise.withResolvers<void>();
    const running = rtnetlinkSource().start({
      onReady: ready.resolve,
      onBell() {},
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
