// Large arguments and answers of one client: how much of them the daemon has at once.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, openHttpFixture } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";

const MIB = 1024 * 1024;
const CALLS = 20;
/** Some 150 MiB are kept of these answers, however many there are. */
const ANSWER = 16 * MIB;
/** Three have more than the 64 MiB that one principal's calls may have at once. */
const ARGUMENT = 22 * MIB;

async function memoryOf(pid: number): Promise<number> {
  return Number(/RssAnon:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

test("E4 a server is not read on while a client leaves answers unread, and each answer arrives in the end", async (t) => {
  await using server = await openHttpFixture(LIGHT_SERVER);
  const rig = await startGatewayRig(t, {
    backends: { large: { url: server.url } },
    more: { limits: { calls_per_second: 0, result_mb: 0 } },
  });
  await rig.untilReady("large");
  const { sessionId } = await rig.connect();
  const before = await memoryOf(rig.pid);
  const answers: IncomingMessage[] = [];
  for (let id = 0; id < CALLS; id++) {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const asked = request(rig.url, {
      method: "POST",
      agent: false,
      headers: { ...headers, "mcp-session-id": sessionId ?? "" },
    });
    asked.on("response", (answer) => answers.push(answer));
    const params = { name: "big", arguments: { bytes: ANSWER } };
    asked.end(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }));
  }
  await eventually(() => answers.length > 1);
  await pause(5_000);
  const kept = (await memoryOf(rig.pid)) - before;
  assert.ok(kept < 0.7 * CALLS * ANSWER, `${Math.round(kept / MIB)} MiB are in memory`);
  // Each has a deadline of its own: all of them are much to read for a busy machine.
  for (let read = 0; read < CALLS; read++) {
    const answer = await eventually(() => answers[read]);
    let size = 0;
    answer.on("data", (piece) => {
      size += piece.length;
    });
    await eventually(() => answer.complete);
    assert.ok(size > ANSWER);
  }
});

test("E4 arguments are let go once a program has them: more calls wait at once than have room", async (t) => {
  const rig = await startGatewayRig(t, { backends: { slow: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("slow");
  const client = await rig.connect();
  const until = path.join(rig.folder, "go");
  const text = "x".repeat(ARGUMENT);
  const calls: Promise<string>[] = [];
  for (let sent = 0; sent < 3; sent++) {
    calls.push(client.call("sleep", { until, more: text }));
    await eventually(async () => (await rig.backend("slow")).in_flight === sent + 1);
    // It has read what came before.
    await client.call("echo");
  }
  await writeFile(until, "");
  assert.equal((await Promise.all(calls)).length, 3);
});
