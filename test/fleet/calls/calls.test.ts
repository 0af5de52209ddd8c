import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { needsNats, startNats } from "../nats-rig.ts";
import { startClient, startMachine, startMachineProcess, textOf, toolsBackend, writtenIn, linesOf } from "./machines.ts";

const NO_LIMIT = { callsPerSecond: null, burst: 1, callsInFlight: 512, sessions: 500, resultBytes: null, overrides: [] };

test("G1 a call across machines: progress, a question, cancel, a large result", needsNats, async (t) => {
  const rig = await startNats(t);
  const written = writtenIn(rig.folder, "files");
  const config = { limits: NO_LIMIT };
  await startMachineProcess(t, rig, {
    name: "desktop",
    backends: [toolsBackend("files", written), toolsBackend("private", writtenIn(rig.folder, "private"))],
    exports: ["files"],
    config,
  });
  const laptop = await startMachine(t, rig, { name: "laptop", backends: [], imports: ["*"], config });
  await eventually(() => laptop.names().length > 0);
  assert.deepEqual(laptop.names(), ["desktop_echo", "desktop_slow", "desktop_ask", "desktop_large", "desktop_grow", "desktop_die"]);
  const [backend] = laptop.gateway.view().backends;
  assert.deepEqual([backend?.name, backend?.type, backend?.phase], ["files@desktop", "fleet", "Ready"]);
  const client = await startClient(t, laptop.gateway);

  assert.equal(textOf(await client.call("desktop_echo", { mark: "hello ü" })), "hello ü");
  const done = await client.call("desktop_slow", { mark: "a", ends: true }, { progressToken: "p" });
  assert.equal(textOf(done), "a");
  const progress = client.heard.filter(({ method }) => method === "notifications/progress");
  assert.deepEqual(progress.map(({ params }) => params), [1, 2, 3, 4, 5].map((step) => ({ progressToken: "p", progress: step, total: 5 })));

  // Two at once: each gets its own question.
  const [one, other] = [client.begin("desktop_ask", { mark: "colour" }), client.begin("desktop_ask", { mark: "word" })];
  for (const id of [one, other]) {
    assert.deepEqual(JSON.parse(textOf(await client.answered(id))), { action: "accept", content: { word: "blue" } });
  }

  const cancelled = client.begin("desktop_slow", { mark: "b" });
  await eventually(async () => (await linesOf(written)).includes("slow b"));
  client.send({ method: "notifications/cancelled", params: { requestId: cancelled } });
  await eventually(async () => (await linesOf(written)).includes("cancelled"));

  const large = textOf(await client.call("desktop_large", { length: 10_000_000 }));
  assert.equal(large.length, 10_000_000);
  assert.equal(large, "ü".repeat(10_000_000));
});
