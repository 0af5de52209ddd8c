import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Calls } from "../../../src/fleet/calls/calls.ts";
import { openCallsSession } from "../../../src/fleet/calls/calls-session.ts";
import type { ImportedOffer } from "../../../src/fleet/calls/tunnel-registry.ts";
import { callSubject, STREAM } from "../../../src/fleet/nats/subjects.ts";
import type { OpenTransport } from "../../../src/gateway/backends/transports/backend-transport.ts";
import { openStreamTransport } from "../../../src/gateway/backends/transports/stream/stream-transport.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { testLinkContract } from "../../gateway/backends/transports/link-contract.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { forWholeFile } from "../../support/whole-file.ts";
import {
  linkOptions,
  makeKey,
  type NatsRig,
  natsTest,
  needsNats,
  startMember,
  startNats,
} from "../nats-rig.ts";
import { killAtRandom } from "./killed-at-random.ts";
import {
  linesOf,
  startClient,
  startMachine,
  startMachineProcess,
  textOf,
  toolsBackend,
  writtenIn,
} from "./machines.ts";

const TOOLS = ["echo", "slow", "ask", "large", "grow", "die"];
const NO_LIMIT = {
  callsPerSecond: null,
  burst: 1,
  callsInFlight: 512,
  sessions: 500,
  resultBytes: null,
  overrides: [],
};

const CONFIG = { limits: NO_LIMIT };

/** A machine that lends its files, for tests that leave it alive. */
const desktop = forWholeFile(async (t) => {
  const rig = await startNats(t);
  const written = writtenIn(rig.folder, "files");
  await startMachineProcess(t, rig, {
    name: "desktop",
    backends: [toolsBackend("files", written), toolsBackend("private", writtenIn(rig.folder, "private"))],
    exports: ["files"],
    config: CONFIG,
  });
  return { rig, written };
});

test("G1 a call across machines: progress, a question, cancel, a large result", needsNats, async (t) => {
  const { rig, written } = await desktop();
  const laptop = await startMachine(t, rig, { name: "laptop", backends: [], imports: ["*"], config: CONFIG });
  await eventually(() => laptop.names().length > 0);
  assert.deepEqual(
    laptop.names(),
    TOOLS.map((tool) => `desktop_${tool}`),
  );
  const [backend] = laptop.gateway.view().backends;
  assert.deepEqual([backend?.name, backend?.type, backend?.phase], ["files@desktop", "fleet", "Ready"]);
  const client = await startClient(t, laptop.gateway);

  assert.equal(textOf(await client.call("desktop_echo", { mark: "hello ü" })), "hello ü");
  const done = await client.call("desktop_slow", { mark: "a", steps: 5 }, { progressToken: "p" });
  assert.equal(textOf(done), "a");
  const progress = client.heard.filter(({ method }) => method === "notifications/progress");
  assert.deepEqual(
    pluck(progress, "params"),
    [1, 2, 3, 4, 5].map((step) => ({ progressToken: "p", progress: step, total: 5 })),
  );

  const asked = await client.call("desktop_ask", { mark: "colour" });
  const answer = JSON.stringify({ action: "accept", content: { word: "blue" } });
  assert.equal(textOf(asked), answer);
  // Of two calls of one client it does not matter which one asks; of two clients nobody is asked.
  const two = [client.begin("desktop_ask", { mark: "one" }), client.begin("desktop_ask", { mark: "other" })];
  for (const id of two) assert.equal(textOf(await client.answered(id)), answer);
  const another = await startClient(t, laptop.gateway);
  const others = another.begin("desktop_slow", { mark: "other" });
  await eventually(async () => (await linesOf(written)).includes("slow other"));
  assert.notEqual(textOf(await client.call("desktop_ask")), answer);
  another.send({ method: "notifications/cancelled", params: { requestId: others } });
  assert.equal(another.heard.filter(({ method }) => method === "elicitation/create").length, 0);

  const cancelled = client.begin("desktop_slow", { mark: "b" });
  await eventually(async () => (await linesOf(written)).includes("slow b"));
  client.send({ method: "notifications/cancelled", params: { requestId: cancelled } });
  await eventually(async () => (await linesOf(written)).includes("cancelled"));

  const large = textOf(await client.call("desktop_large", { length: 10_000_000 }));
  assert.equal(large.length, 10_000_000);
  assert.equal(large, "ü".repeat(10_000_000));
});

natsTest(
  "G1 only exported servers are visible, by the machine's own principal, and a changed list follows",
  async (t, rig) => {
    const written = writtenIn(rig.folder, "files");
    const audit = join(rig.folder, "audit.jsonl");
    const policy = {
      effect: "deny",
      roles: ["fleet"],
      resources: ["tool:files_die"],
      methods: null,
    } as const;
    await startMachineProcess(t, rig, {
      name: "desktop",
      backends: [toolsBackend("files", written), toolsBackend("private", writtenIn(rig.folder, "private"))],
      exports: ["files"],
      config: {
        conflictResolution: { ...NO_GATEWAY.conflictResolution, strategy: "prefix" },
        authorization: { defaultEffect: "allow", policies: [policy] },
        audit: { path: audit, maxSizeBytes: 1_000_000, keep: 1, includeArguments: false, redact: [] },
      },
    });
    const laptop = await startMachine(t, rig, { name: "laptop", backends: [], imports: ["desktop/files"] });
    const nas = await startMachine(t, rig, { name: "nas", backends: [], imports: ["desktop/private"] });
    await eventually(() => laptop.names().length > 0);
    assert.deepEqual(
      laptop.names(),
      TOOLS.filter((tool) => tool !== "die").map((tool) => `desktop_files_${tool}`),
    );
    const client = await startClient(t, laptop.gateway);
    assert.equal(textOf(await client.call("desktop_files_echo", { mark: "x" })), "x");
    assert.match(textOf(await client.call("desktop_private_echo")), /^error: .*unknown/i);
    const refused = await startClient(t, laptop.gateway);
    assert.match(textOf(await refused.call("desktop_files_die")), /^error: .*unknown/i);
    const record = await eventually(async () =>
      (await linesOf(audit)).find((line) => line.includes('"tool:files_echo"')),
    );
    assert.match(record, /fleet:laptop/);
    await client.call("desktop_files_grow", { mark: "one" });
    await eventually(() => laptop.names().includes("desktop_files_grown-one"));
    assert.deepEqual(nas.names(), []);
  },
);

natsTest(
  "G1 a machine is killed in the middle: at most once, its tools leave with one notice, and return",
  async (t, rig) => {
    const written = writtenIn(rig.folder, "files");
    const exported = { name: "desktop", backends: [toolsBackend("files", written)], exports: ["files"] };
    const desktop = await startMachineProcess(t, rig, exported);
    const laptop = await startMachine(t, rig, {
      name: "laptop",
      backends: [toolsBackend("own", writtenIn(rig.folder, "own"))],
      imports: ["desktop"],
    });
    await eventually(() => laptop.names().length === 2 * TOOLS.length);
    const client = await startClient(t, laptop.gateway);
    const notices = (): number =>
      client.heard.filter(({ method }) => method === "notifications/tools/list_changed").length;
    const inFlight = [1, 2, 3].map((mark) => client.begin("desktop_slow", { mark }));
    await eventually(async () => (await linesOf(written)).length === 3);
    const before = notices();
    const startedMs = performance.now();
    await desktop.kill();
    for (const id of inFlight)
      assert.match(textOf(await client.answered(id)), /error: server files@desktop: desktop: it is gone/);
    await eventually(() => laptop.names().length === TOOLS.length);
    assert.ok(performance.now() - startedMs < 10_000);
    await eventually(() => notices() > before);
    assert.equal(notices(), before + 1);
    assert.match(textOf(await client.call("desktop_echo")), /^error: /);
    assert.equal(textOf(await client.call("echo", { mark: "own" })), "own");
    const [missed] = laptop.calls.conditions();
    assert.equal(missed?.code, "fleet_machine_away");
    assert.match(missed.title, /Tools of desktop are away/);
    await startMachineProcess(t, rig, exported);
    await eventually(() => laptop.names().length === 2 * TOOLS.length);
    assert.equal(textOf(await client.call("desktop_echo", { mark: "back" })), "back");
    assert.deepEqual(laptop.calls.conditions(), []);
    assert.deepEqual(await linesOf(written), ["slow 1", "slow 2", "slow 3", "echo back"]);
  },
);

test(
  "G1 if the fleet's server is killed, calls across end with a reason, local ones continue, and everything recovers",
  needsNats,
  async (t) => {
    const { rig, written } = await desktop();
    const before = (await linesOf(written)).length;
    const lines = async () => (await linesOf(written)).slice(before);
    const laptop = await startMachine(t, rig, {
      name: "laptop",
      backends: [toolsBackend("own", writtenIn(rig.folder, "own"))],
      exports: ["own"],
      imports: ["*"],
    });
    await eventually(() => laptop.names().length === 2 * TOOLS.length);
    const client = await startClient(t, laptop.gateway);
    const [across, local] = [client.begin("desktop_slow"), client.begin("slow", { steps: 5, mark: "own" })];
    await eventually(async () => (await lines()).length === 1);
    await rig.kill();
    assert.match(
      textOf(await client.answered(across)),
      /error: server files@desktop: .*the link to the fleet's server was lost/,
    );
    assert.equal(textOf(await client.answered(local)), "own");
    assert.equal((await eventually(() => laptop.calls.conditions()[0])).code, "fleet_calls_unreachable");
    // The call is ended there, too: nobody waits for it any more.
    await eventually(async () => (await lines()).includes("cancelled"));
    await rig.start();
    await eventually(() => laptop.names().includes("desktop_slow"));
    assert.equal(textOf(await client.call("desktop_echo", { mark: "again" })), "again");
    assert.deepEqual(await lines(), ["slow ", "cancelled", "echo again"]);
    const names = pluck(laptop.gateway.view().backends, "name");
    assert.deepEqual(names, ["own", "files@desktop"], "a machine borrows nothing of itself");
  },
);

test(
  "G1 without the permissions for calls it says so, and machines still publish their state",
  needsNats,
  async (t) => {
    const older = `publish: { allow: ["$KV.>", "$JS.>", "mountaineer.fleet.laptop.beat"] }, subscribe: { allow: ["_INBOX.laptop.>", "mountaineer.fleet.*.beat"] }`;
    const rig = await startNats(t, { permissions: { laptop: older } });
    const laptop = await startMachine(t, rig, { name: "laptop", backends: [], imports: ["*"] });
    const status = startMember(t, rig, "laptop");
    const condition = await eventually(() => laptop.calls.conditions()[0]);
    assert.match(condition.title, /the server denied permission to subscribe to mountaineer/);
    assert.match(condition.hint ?? "", /docs\/reference\/fleet\.md/);
    await eventually(() => status.report().link.state === "connected");
    assert.deepEqual(status.report().conditions, []);
  },
);

test(
  "G1 calls while machines are killed at random: none twice, none lost that was answered",
  needsNats,
  (t) => killAtRandom(t, { calls: 200, kills: 1, seed: 1 }),
);

natsTest(
  "G1 a message that a member has the server deliver from a bucket does not count as another machine's",
  async (t, rig) => {
    const heard: string[] = [];
    const session = await openCallsSession(
      {
        server: rig.url,
        name: "desktop",
        credentials: { kind: "nkey", seed: rig.key("desktop").seed },
        authority: null,
        clock,
        exports: true,
        imports: true,
        events: {
          frame: (sender, bytes) => heard.push(`${sender} ${Buffer.from(bytes)}`),
          offer() {},
          offersRequested() {},
          nobodyThere() {},
        },
      },
      new AbortController().signal,
    );
    t.after(() => session[Symbol.asyncDispose]());
    const member = await rig.stranger("stranger");
    const delivered: string[] = [];
    member.subscribe(callSubject("stranger", "desktop"), {
      callback: (_, { data }) => void delivered.push(Buffer.from(data).toString()),
    });
    const ask = async (what: string, question: object): Promise<void> => {
      const { data } = await member.request(`$JS.API.${what}`, JSON.stringify(question));
      assert.equal(JSON.parse(Buffer.from(data).toString()).error, undefined);
    };
    await ask(`STREAM.CREATE.${STREAM}`, {
      name: STREAM,
      subjects: ["$KV.mountaineer_fleet.>"],
      allow_direct: true,
    });
    await member.request("$KV.mountaineer_fleet.laptop", "what it told");
    // Its answer is the stored message as it is, under the subject that is named for the answer.
    const last = JSON.stringify({ last_by_subj: "$KV.mountaineer_fleet.laptop" });
    member.publish(`$JS.API.DIRECT.GET.${STREAM}`, last, { reply: callSubject("laptop", "desktop") });
    const [deliver_subject, ack_policy] = [callSubject("stranger", "desktop"), "none"];
    await ask(`CONSUMER.CREATE.${STREAM}`, { stream_name: STREAM, config: { deliver_subject, ack_policy } });
    await eventually(async () => {
      member.publish(callSubject("nas", "desktop"), "its own");
      await member.flush();
      return heard.includes("nas its own");
    });
    assert.deepEqual([...new Set(heard)], ["nas its own"]);
  },
);

/** A server that takes everybody, and messages of a few bytes alone. */
const INFO = {
  server_id: "small",
  version: "2.11.0",
  proto: 1,
  headers: true,
  max_payload: 100,
  nonce: "nonce",
  auth_required: true,
};

test("G1 no connection to a useless server stays open", async (t) => {
  const server = createServer((socket) => {
    socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
    socket.on("data", (bytes) => {
      if (/^PING\r$/m.test(bytes.toString())) socket.write("PONG\r\n");
    });
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const connected: Promise<[Socket]> = once(server, "connection") as Promise<[Socket]>;
  const opening = openCallsSession(
    {
      server: `nats://127.0.0.1:${address.port}`,
      name: "desktop",
      credentials: { kind: "nkey", seed: makeKey().seed },
      authority: null,
      clock,
      exports: true,
      imports: true,
      events: { frame() {}, offer() {}, offersRequested() {}, nobodyThere() {} },
    },
    new AbortController().signal,
  );
  const [socket] = await connected;
  const closed = once(socket, "close", { signal: AbortSignal.timeout(60_000) });
  await assert.rejects(opening, /limit for messages is too small/);
  await closed;
});

// The contract of all links to backends, held against a tunnel over a real nats-server.
const ECHO = fileURLToPath(new URL("../../gateway/backends/programs/link-echo.ts", import.meta.url));

function machine(
  t: Scope,
  rig: NatsRig,
  name: string,
  more: {
    readonly serve?: ConstructorParameters<typeof Calls>[0]["serve"];
    readonly import?: readonly string[];
  },
): { readonly calls: Calls; readonly borrowed: () => readonly ImportedOffer[] } {
  const { serve = () => {}, import: imported = [] } = more;
  let borrowed: readonly ImportedOffer[] = [];
  const calls = new Calls({
    ...linkOptions(
      { url: rig.url, name, seed: rig.key(name).seed },
      { export: more.serve === undefined ? [] : ["echo"], import: imported },
    ),
    exported: () => ["echo"],
    serve,
    onImported: (backends) => {
      borrowed = backends;
    },
  });
  t.after(() => calls.end(0));
  return { calls, borrowed: () => borrowed };
}

/** Who lends an echo server for each tunnel, and who borrows it. */
const machines = forWholeFile(async (t) => {
  const rig = await startNats(t);
  machine(t, rig, "desktop", {
    serve(_machine, _backend, stream) {
      const child = spawn(process.execPath, [ECHO], { stdio: ["pipe", "pipe", "inherit"] });
      stream.pipe(child.stdin).on("error", () => {});
      child.stdout.pipe(stream);
      stream.once("close", () => child.kill());
      t.after(async () => {
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      });
    },
  });
  const { calls, borrowed } = machine(t, rig, "laptop", { import: ["*"] });
  const open = (backend: ImportedOffer): OpenTransport =>
    openStreamTransport({ open: (onEnd) => calls.open(backend, onEnd), clock });
  return { open, borrowed };
});

async function echo(): Promise<OpenTransport> {
  const { open, borrowed } = await machines();
  return open(await eventually(() => borrowed()[0]));
}

async function nothing(): Promise<OpenTransport> {
  const { open } = await machines();
  return open({ machine: "nas", backend: "echo", instance: "0".repeat(16) });
}

if (needsNats.skip === false) {
  testLinkContract({ name: "G1 a tunnel to another machine", tellsStream: false, echo, nothing });
}
