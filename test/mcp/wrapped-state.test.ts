// Clients and servers that both speak 2026-07-28: the server's own state goes through Mountaineer and back.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { Json } from "./fixtures/matrix-tools.ts";
import { handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { ask, requiredBy, textOf } from "./modern-wire.ts";

const ERA_SERVER = path.resolve(import.meta.dirname, "../gateway/backends/programs/era-modern-server.ts");
const era = nodeBackend(ERA_SERVER, ["stdio"]);
const accepted = (name: string): Json => ({ action: "accept", content: { name } });

test("B11 D2 a modern server's state is bound to its call, and outlives a reload, a handover and a person's consent, which is asked for anew", async (t) => {
  const asks = { authorization: { default_effect: "allow", destructive: "ask" } };
  const rig = await startGatewayRig(t, { backends: { era } }, { kept: true });
  // A tool of it is withheld.
  await rig.untilBackend("era", ({ phase }) => phase === "Degraded");
  const call: Json = { name: "ask_rounds", arguments: {} };
  const send = (params: Json): ReturnType<typeof ask> => ask(rig.url, "tools/call", params);
  const first = requiredBy(await send(call));
  const retry = (state: string, inputResponses: Json): Json => ({
    ...call,
    requestState: state,
    inputResponses,
  });
  const refused = [
    retry(`${first.state}A`, {}),
    retry("1", {}),
    { ...retry(first.state, {}), name: "ask" },
    { ...retry(first.state, {}), arguments: { a: 1 } },
  ];
  for (const params of refused)
    assert.equal((await send(params)).error?.code, -32602, JSON.stringify(params));
  await rig.edit({ backends: { era }, more: asks });
  // It asks whether the call may be made, since nobody has said so yet; then it is the server's turn.
  const consent = requiredBy(await send(retry(first.state, { q0: accepted("a") })));
  const [yes = ""] = Object.keys(consent.requests);
  const second = requiredBy(await send(retry(consent.state, { [yes]: { action: "accept", content: {} } })));
  assert.deepEqual(Object.keys(second.requests), ["q1"]);
  await handOver(rig);
  // The next daemon cannot know whether the consent was used already: the person is asked again.
  const again = requiredBy(await send(retry(second.state, { q1: accepted("b") })));
  const [yesAgain = ""] = Object.keys(again.requests);
  assert.notEqual(yesAgain, "q2");
  const third = requiredBy(await send(retry(again.state, { [yesAgain]: { action: "accept", content: {} } })));
  assert.deepEqual(Object.keys(third.requests), ["q2"]);
  const end = await send(retry(third.state, { q2: accepted("c") }));
  assert.deepEqual(JSON.parse(textOf(end)), { done: 3, inputResponses: { q2: accepted("c") } });
});
