// What belongs to a call beside its answer, where the call goes through `call_tool`: questions, progress, its cancelling.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import type { Json } from "./light-client.ts";
import { ask, requiredBy, textOf } from "./modern-wire.ts";

const QUESTION: Json = { message: "Who?", requestedSchema: { type: "object", properties: {} } };
const ELICITS: Json = { name: "ask", arguments: { method: "elicitation/create", params: QUESTION } };
const ANSWER: Json = { action: "accept", content: { name: "Ann" } };
const STEPS: Json = { name: "progress", arguments: { steps: 3, text: "on it" } };
const WAITS: Json = { name: "sleep", arguments: { ms: 60_000 } };

/** What each notice says, and of which call. */
function steps(notices: readonly Json[]): unknown[] {
  return notices.map(({ method, params }) => {
    const { progressToken, progress, message } = params as Json;
    return [method, progressToken, progress, message];
  });
}

const THREE = [1, 2, 3].map((step) => ["notifications/progress", "mine", step, "on it"]);

test("D4 a client of 2026-07-28 is asked, receives progress and cancels through call_tool", async (t) => {
  const backends = { light: nodeBackend(LIGHT_SERVER) };
  const rig = await startGatewayRig(t, { backends, more: { optimizer: { enabled: true } } });
  await rig.untilReady("light");
  const call = (given: Json, more: Json = {}, options = {}) =>
    ask(rig.url, "tools/call", { name: "call_tool", arguments: given, ...more }, options);
  const { state, requests } = requiredBy(await call(ELICITS));
  const [[key = "", question] = []] = Object.entries(requests);
  assert.deepEqual((question as Json)["method"], "elicitation/create");
  const answered = await call(ELICITS, { requestState: state, inputResponses: { [key]: ANSWER } });
  assert.deepEqual(JSON.parse(textOf(answered)), ANSWER);

  const { notices } = await call(STEPS, {}, { meta: { progressToken: "mine" } });
  assert.deepEqual(steps(notices), THREE);

  const abort = new AbortController();
  const waiting = call(WAITS, {}, { signal: abort.signal });
  waiting.catch(() => {});
  await eventually(async () => (await rig.backend("light")).in_flight === 1);
  abort.abort();
  await assert.rejects(waiting);
  await eventually(async () => JSON.parse(textOf(await call({ name: "seen" }))).cancelled === 1);
});
