// Three daemons at a time: two handovers while the first daemon still finishes a call. What clients have begun with any
// of them goes on, whichever of them a message comes to.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { open, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { type TestContext, test as testOf } from "node:test";
import { startBridge } from "../kit/bridge.ts";
import { eventually } from "../support/eventually.ts";
import { daemonsOf } from "../support/processes.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import type { Json, LightClient } from "./light-client.ts";

/** Each reads /proc. */
const test = (title: string, play: (t: TestContext) => Promise<void>): void =>
  void testOf(title, { skip: process.platform === "linux" ? false : "reads /proc" }, play);
const QUESTION = {
  method: "elicitation/create",
  params: { message: "?", requestedSchema: { type: "object", properties: { name: { type: "string" } } } },
};
const ANSWER: Json = { action: "accept", content: { name: "Ann" } };

/** Longer than any of it takes, so that a daemon with something to finish stays. */
const DRAIN_SECONDS = 600;

/** A daemon with nothing left to do stays for as long as a connection is kept open, 75 s. */
async function oneDaemonLeft(
  rig: GatewayRig,
  ...clients: readonly Pick<LightClient, "closeIdle">[]
): Promise<number> {
  for (const client of clients) client.closeIdle();
  return eventually(async () => {
    const [pid, ...more] = await daemonsOf(rig.home.home);
    return more.length === 0 && pid;
  });
}

async function startChain(t: TestContext): Promise<{ rig: GatewayRig; client: LightClient }> {
  // A server with calls of several clients could not say whom it asks.
  const asking = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "q_" } });
  const backends = { light: nodeBackend(LIGHT_SERVER), asking };
  const rig = await startGatewayRig(
    t,
    { backends, server: { drain_timeout: DRAIN_SECONDS } },
    { kept: true },
  );
  await rig.untilReady("light", "asking");
  return { rig, client: await rig.connect({ capabilities: { elicitation: {} } }) };
}

/** A connection of a client's session, of which every byte is ours. */
function connection(t: TestContext, rig: GatewayRig, client: LightClient) {
  const { hostname, port } = new URL(rig.url);
  const socket: Socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.on("error", () => {});
  return {
    ended: once(socket, "close"),
    closeIdle: () => socket.destroy(),
    post(message: Json, { sessionId } = client): void {
      const body = JSON.stringify({ jsonrpc: "2.0", ...message });
      const head = [
        ...["POST /mcp HTTP/1.1", `Host: ${hostname}`, "Accept: application/json, text/event-stream"],
        ...["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`],
        `Mcp-Session-Id: ${sessionId}`,
      ];
      socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
    },
    /** The first match in all that came. */
    until: (pattern: RegExp): Promise<string> =>
      eventually(() => {
        const [, found = null] = pattern.exec(text) ?? [];
        if (found === null) throw new Error(`not in what came: ${text.slice(-1_000)}`);
        return found;
      }),
  };
}

const call = (id: number, name: string, given: Json): Json => ({
  id,
  method: "tools/call",
  params: { name, arguments: given },
});

const inFlight = (rig: GatewayRig, calls: number): Promise<unknown> =>
  eventually(async () => (await rig.status()).gateway?.in_flight === calls);

/** The id of the question that a call of `q_ask` asks on this connection. */
const questionOn = ({ until }: ReturnType<typeof connection>): Promise<string> =>
  until(/"id":"([^"]+)","method":"elicitation\/create"/);
const ANSWERED = /(\\"name\\":\\"Ann\\")/;

test("B11 D2 over a connection that stays with the first of three daemons, an answer to a question of the newest one arrives, so does a cancellation, and no session of the newest one is reported as ended", async (t) => {
  const { rig, client } = await startChain(t);
  const until = path.join(rig.folder, "go");
  const [first, other] = [connection(t, rig, client), connection(t, rig, client)];
  first.post(call(100, "sleep", { until, text: "by the first" }));
  other.post(call(101, "sleep", { until, text: "by the first" }));
  await inFlight(rig, 2);
  await handOver(rig);
  await handOver(rig);
  const newest = connection(t, rig, client);
  newest.post(call(102, "q_ask", QUESTION));
  const id = await questionOn(newest);
  const working = connection(t, rig, client);
  const work = { name: "progress", arguments: { steps: 6_000, ms: 10 }, _meta: { progressToken: "p" } };
  working.post({ id: 103, method: "tools/call", params: work });
  await working.until(/("method":"notifications\/progress")/);
  // Sent before its first request is answered, these come to the daemon that has the connection.
  first.post({ id, result: ANSWER });
  first.post({ method: "notifications/cancelled", params: { requestId: 103 } });
  await newest.until(ANSWERED);
  await working.until(/(\r\n0\r\n\r\n)$/);
  const late = await rig.connect();
  other.post(call(104, "echo", {}), late);
  await writeFile(until, "");
  await first.until(/(by the first)/);
  // The first daemon continues a session that began with the newest one.
  await other.until(/("id":104,"result")/);
  assert.equal(await late.call("echo", { text: "goes on" }), "goes on");
  await oneDaemonLeft(rig, client, late);
});

test("B11 D2 a call, a waiting question, a listening stream and a line that began with the first of three daemons continue with the newest one", async (t) => {
  const { rig, client } = await startChain(t);
  const until = path.join(rig.folder, "go");
  const bridge = startBridge(rig);
  await bridge.begin();
  const onLine = bridge.call(2, "sleep", { until, text: "on a line" });
  await client.listen();
  const [sleeping, asking] = [connection(t, rig, client), connection(t, rig, client)];
  sleeping.post(call(100, "sleep", { until, text: "by the first" }));
  asking.post(call(101, "q_ask", QUESTION));
  const id = await questionOn(asking);
  await inFlight(rig, 3);
  await handOver(rig);
  await handOver(rig);
  // At the newest daemon, while the call that it answers is in flight two daemons before.
  connection(t, rig, client).post({ id, result: ANSWER });
  await asking.until(ANSWERED);
  assert.equal(await client.call("echo", { text: "meanwhile" }), "meanwhile");
  await writeFile(until, "");
  await sleeping.until(/(by the first)/);
  assert.equal(await onLine, "on a line");
  const only = await oneDaemonLeft(rig, client, sleeping, asking);
  assert.equal((await rig.status()).global.pid, only);
  await client.listen();
  const told = client.notices.length;
  await client.call("offer", { tools: 3 });
  await eventually(() =>
    client.notices.slice(told).some(({ method: named }) => named === "notifications/tools/list_changed"),
  );
  assert.equal(await bridge.call(3, "echo", { text: "anew" }), "anew");
  assert.equal(await client.call("echo", { text: "still one session" }), "still one session");
});

test("B11 of three daemons the first is killed as it finishes its calls: these end at once, and its sessions and lines continue with the newest one", async (t) => {
  const { rig, client } = await startChain(t);
  const first = (await rig.status()).global.pid ?? 0;
  const bridge = startBridge(rig);
  await bridge.begin();
  const onLine = bridge.ask(2, "tools/call", { name: "sleep", arguments: { ms: 60_000 } });
  const sleeping = connection(t, rig, client);
  sleeping.post(call(100, "sleep", { ms: 60_000 }));
  await inFlight(rig, 2);
  await handOver(rig);
  const { to } = await handOver(rig);
  process.kill(first, "SIGKILL");
  await sleeping.ended;
  assert.match((await onLine).error?.message ?? "", /not known whether the call took effect/);
  // The client may call on a connection before it sees that the daemon of it has ended.
  await eventually(async () => (await client.call("echo", { text: "goes on" })) === "goes on");
  assert.equal(await bridge.call(3, "echo", { text: "on the line, too" }), "on the line, too");
  assert.equal(await oneDaemonLeft(rig, client), to);
  assert.equal((await rig.status()).global.pid, to);
});

test("B11 a client that was away while three daemons followed one another, and the first two ended, continues its session", async (t) => {
  const { rig, client } = await startChain(t);
  await handOver(rig);
  // Begun with the second one.
  const late = await rig.connect();
  await handOver(rig);
  await oneDaemonLeft(rig, client, late);
  for (const each of [client, late])
    assert.equal(await each.call("echo", { text: "back" }), "back", "nobody is told to initialize anew");
});

/** Paths of the sockets that a process has open, and the descriptors of all its sockets. */
async function socketsOf(
  pid: number,
): Promise<{ readonly paths: readonly string[]; readonly fds: readonly string[] }> {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Map<string, string>();
  for (const fd of await readdir(folder)) {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(await readlink(`${folder}/${fd}`).catch(() => "")) ?? [];
    if (inode !== undefined) inodes.set(inode, `${folder}/${fd}`);
  }
  const rows = (await readFile(`/proc/${pid}/net/unix`, "utf8")).split("\n").map((row) => row.split(/\s+/));
  const paths = rows.flatMap(([, , , , , , inode = "", file]) =>
    inodes.has(inode) && file !== undefined ? [file] : [],
  );
  return { paths, fds: [...inodes.values()] };
}

test("B11 E1 daemons pass data to one another over no path that another program of this user could open, and no header makes a request theirs", async (t) => {
  const { rig, client } = await startChain(t);
  const until = path.join(rig.folder, "go");
  const sleeping = connection(t, rig, client);
  sleeping.post(call(100, "sleep", { until, text: "by the first" }));
  await inFlight(rig, 1);
  await handOver(rig);
  const { to } = await handOver(rig);
  const before = (await daemonsOf(rig.home.home)).filter((pid) => pid !== to);
  assert.ok(before.length > 0);
  for (const pid of before) {
    const { paths, fds } = await socketsOf(pid);
    assert.deepEqual(paths, [], "the home's sockets are the newest daemon's");
    assert.ok(fds.length > 0);
    for (const fd of fds) await assert.rejects(open(fd, "r+"), { code: "ENXIO" });
  }
  const mine = (await socketsOf(to)).paths.filter((file) => file.startsWith(rig.home.home));
  assert.equal(mine.length, 2, "one for commands, one for lines");
  const owner = { kind: "owner", name: "owner", roles: ["owner"] };
  const { status } = await fetch(rig.url, {
    method: "POST",
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mountaineer-session": createHash("sha256")
        .update(`mountaineer session proof\n${client.sessionId}`)
        .digest("hex"),
      "mountaineer-caller": Buffer.from(JSON.stringify(owner)).toString("base64url"),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
  });
  assert.equal(status, 400, "as without a session");
  await writeFile(until, "");
  await sleeping.until(/(by the first)/);
});
