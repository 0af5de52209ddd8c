// Two gateways with one key of session ids behind HAProxy and behind nginx, as docs/reference/fleet.md has them.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type BalancerName, openBalancer } from "../kit/balancers.ts";
import { startLoad } from "../kit/load.ts";
import type { LoadSession } from "../kit/sessions.ts";
import { eventually } from "../support/eventually.ts";
import { programMissing } from "../sync/programs.ts";
import { ASKING_SERVER, LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";
import { ask, requiredBy, textOf } from "./modern-wire.ts";

const SESSIONS = 20;
const PER_SECOND = 100;
const USERS = ["ann", "bob", "cyd", "dan"];
const tokenOf = (user: string): string => `a-token-of-${user}-that-is-long-enough`;
const variableOf = (user: string): string => `TOKEN_${user.toUpperCase()}`;

async function startGateways(t: TestContext): Promise<readonly GatewayRig[]> {
  const tokens = Object.fromEntries(USERS.map((user) => [variableOf(user), tokenOf(user)]));
  const env = { SESSION_KEY: randomBytes(32).toString("base64"), ...tokens };
  const users = USERS.map((name) => ({ name, token: `\${${variableOf(name)}}` }));
  const sections = {
    backends: { light: nodeBackend(LIGHT_SERVER), asking: nodeBackend(ASKING_SERVER) },
    server: { session_key: ["${SESSION_KEY}"] },
    more: { incoming_auth: { type: "local", users } },
  };
  const rigs = await Promise.all([1, 2].map(() => startGatewayRig(t, sections, { env })));
  for (const rig of rigs) await rig.untilReady("light", "asking");
  return rigs;
}

const form = {
  method: "elicitation/create",
  params: { message: "?", requestedSchema: { type: "object", properties: {} } },
};

for (const name of ["haproxy", "nginx"] as const satisfies readonly BalancerName[])
  describe(`two gateways behind ${name}`, async () => {
    const skip = (await programMissing(name)) ?? false;
    test("B11 D2 sessions continue when a machine is killed, of whose calls only those in flight fail, and a call that waits for its client finds its machine", {
      skip,
    }, async (t) => {
      const rigs = await startGateways(t);
      await using balancer = await openBalancer(
        name,
        rigs.map(({ url }) => Number(new URL(url).port)),
      );
      const { url } = balancer;

      for (const user of USERS) {
        const headers = { authorization: `Bearer ${tokenOf(user)}` };
        const call = { name: "interview", arguments: { rounds: [[form], [form]] } };
        const accepted = { action: "accept", content: {} };
        let reply = await ask(url, "tools/call", call, { headers });
        for (let round = 0; round < 2; round++) {
          const { state, requests } = requiredBy(reply);
          const inputResponses = Object.fromEntries(Object.keys(requests).map((key) => [key, accepted]));
          reply = await ask(url, "tools/call", { ...call, requestState: state, inputResponses }, { headers });
        }
        assert.deepEqual(JSON.parse(textOf(reply)), [[accepted], [accepted]]);
      }

      await using stack = new AsyncDisposableStack();
      const sessions: (Pick<LoadSession, "name" | "call"> & { readonly client: LightClient })[] = [];
      for (let at = 0; at < SESSIONS; at++) {
        const token = tokenOf(USERS[at % USERS.length] ?? "");
        // The largest that an id holds.
        const capabilities = { experimental: { x: { y: "x".repeat(at === 0 ? 970 : 10) } } };
        const client = stack.use(await connectLight(url, { token, capabilities }));
        sessions.push({ name: `s${at}`, call: client.call, client });
      }
      const [largest] = sessions;
      const { length = 0 } = largest?.client.sessionId ?? "";
      assert.ok(length > 1_400 && length <= 1_500, `${length} characters`);
      await largest?.client.listen();
      await largest?.client.call("offer", { tools: 1 });
      await eventually(() =>
        largest?.client.notices.some(({ method }) => method === "notifications/tools/list_changed"),
      );

      let [killedAtMs, deadAtMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      const load = stack.use(
        startLoad({
          sessions,
          perSecond: PER_SECOND,
          file: path.join(rigs[0]?.folder ?? "", "notes"),
          tools: new Map(sessions.map((session) => [session.name, ["note"]])),
          random: Math.random,
          forgives: (_words, { fromMs }, endMs) => fromMs <= deadAtMs && endMs >= killedAtMs,
        }),
      );
      await eventually(() => sessions.every((session) => load.answeredSince(session.name, 0) !== null));
      killedAtMs = performance.now();
      await rigs[1]?.goDown("SIGKILL");
      deadAtMs = performance.now();
      await eventually(() =>
        sessions.every((session) => load.answeredSince(session.name, deadAtMs) !== null),
      );
      const end = await load.end();
      assert.deepEqual([end.lost, end.undone, end.twice], [[], [], []]);
      t.diagnostic(`${end.calls} calls, ${end.broken} in flight at the kill`);
    });
  });
