// Several clients asked at once through one stdio server, in every combination of revisions: each answers its own
// questions, or the question is refused; never is one client's answer given to another's call.
// MOUNTAINEER_STORIES=all plays 1,000 random stories; else a slice.
import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pick, randomFrom } from "../../lab/random.ts";
import { MATRIX_MODERN_SERVER, MATRIX_SERVER } from "../fixture-programs.ts";
import type { Json } from "../fixtures/matrix-tools.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "../gateway-rig.ts";
import { ask } from "../modern-wire.ts";
import { clientOf, type Era, type MatrixClient } from "./matrix-clients.ts";

const STORIES = process.env["MOUNTAINEER_STORIES"] === "all" ? 1000 : 40;
const NAMES = ["Ann", "Ben", "Cem"];
const ASKING_TOOLS = ["ask_one", "ask_three", "ask_rounds"];
const SERVERS: Readonly<Record<Era, string>> = { L: MATRIX_SERVER, M: MATRIX_MODERN_SERVER };

/** Whether the call was answered; rejects when any answer came from somebody else. */
async function answeredByItself(name: string, call: Promise<Json>): Promise<boolean> {
  const result = await call.catch(() => null);
  if (result === null || result["isError"] === true) return false;
  const words = JSON.stringify(result);
  for (const other of NAMES) if (other !== name) assert.doesNotMatch(words, new RegExp(other, "u"));
  assert.match(words, new RegExp(name, "u"));
  return true;
}

for (const instances of ["shared", "per-client"] as const)
  for (const back of ["L", "M"] as const)
    test(`D2 one ${instances} stdio server of ${back}, several clients at once`, async (t) => {
      const server = nodeBackend(SERVERS[back], ["--stdio"], { instances });
      const rig = await startGatewayRig(t, { backends: { server } });
      await rig.untilReady("server");
      for (const front of ["L", "M"] as const)
        await t.test(
          `D2 ${front}→${back}, ${instances}: clients asked at once are isolated or refused`,
          async (t) => {
            const clients = await connectAll(t, rig, () => front);
            for (const tool of ASKING_TOOLS) {
              const calls = clients.map(([name, client]) => answeredByItself(name, client.call(tool)));
              const answered = await Promise.all(calls);
              // A modern server knows by the state whose answer it is, and a process of one's own by itself.
              if (back === "M" || instances === "per-client")
                assert.deepEqual(answered, [true, true, true], tool);
            }
            for (const [name, client] of clients)
              assert.equal(
                await answeredByItself(name, client.call("ask_three")),
                true,
                "alone, each is asked",
              );
          },
        );
      await t.test(
        `D2 ${STORIES / 4} random stories of clients of both revisions: none crossed`,
        async (t) => {
          const seed = Number(process.env["MOUNTAINEER_SEED"] ?? randomInt(2 ** 31));
          t.diagnostic(`seed ${seed}`);
          const random = randomFrom(seed);
          const clients = await connectAll(t, rig, () => pick(random, ["L", "M"] as const));
          let answered = 0;
          for (let story = 0; story < STORIES / 4; story++) {
            const acts = Array.from({ length: 2 + Math.floor(random() * 4) }, () => {
              const [name, client] = pick(random, clients);
              return act(pick(random, ACTS), name, client, rig, pick(random, ASKING_TOOLS));
            });
            answered += (await Promise.all(acts)).filter((was) => was).length;
          }
          assert.ok(answered > 0, "nobody was answered at all");
        },
      );
    });

const ACTS = ["ask", "ask", "echo", "break off", "never answer"] as const;

/** Whether it was answered. */
async function act(
  what: (typeof ACTS)[number],
  name: string,
  client: MatrixClient,
  rig: GatewayRig,
  tool: string,
): Promise<boolean> {
  if (what === "ask") return answeredByItself(name, client.call(tool));
  if (what === "echo") return answeredByItself(name, client.call("echo", { text: name }));
  if (what === "break off") {
    const gone = AbortSignal.timeout(5);
    const until = path.join(rig.folder, randomUUID());
    return answeredByItself(name, client.call("wait", { until }, { signal: gone }));
  }
  // A question that its client never comes back to.
  const { result } = await ask(rig.url, "tools/call", { name: tool, arguments: {} });
  if (result?.["resultType"] === "complete") assert.fail("answered, and nobody did");
  return false;
}

async function connectAll(
  t: TestContext,
  rig: GatewayRig,
  eraOf: () => Era,
): Promise<readonly (readonly [string, MatrixClient])[]> {
  const clients: [string, MatrixClient][] = [];
  for (const name of NAMES) {
    const client = await clientOf(eraOf()).connect(rig.url, { name });
    t.after(() => client[Symbol.asyncDispose]());
    clients.push([name, client]);
  }
  return clients;
}
