// What becomes of a call whose client is being asked, when it comes back too late or as somebody else, and when its server
// has crashed or speaks another revision by then.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { MATRIX_MODERN_SERVER, MATRIX_SERVER } from "../fixture-programs.ts";
import type { Json } from "../fixtures/matrix-tools.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "../gateway-rig.ts";
import { ask } from "../modern-wire.ts";
import { CLIENTS, type Era, type MatrixClient } from "./matrix-clients.ts";

const SHIFTED_CLOCK = fileURLToPath(new URL("../../lab/programs/shifted-clock.ts", import.meta.url));
const SERVERS: Readonly<Record<Era, string>> = { L: MATRIX_SERVER, M: MATRIX_MODERN_SERVER };
const ANN = { action: "accept", content: { name: "Ann" } };
const INVALID_PARAMS = -32602;
const LATER_MS = 2 * 3_600_000;

type Headers = Readonly<Record<string, string>>;

/** The call's question, and the request that answers it. */
async function asked(rig: GatewayRig, headers: Headers = {}, name = "ask_one"): Promise<Json> {
  const call = { name, arguments: {} };
  const reply = await ask(rig.url, "tools/call", call, { headers });
  const { result = {} } = reply;
  assert.equal(result["resultType"], "input_required", JSON.stringify(reply));
  const keys = Object.keys(result["inputRequests"] as Json);
  const inputResponses = Object.fromEntries(keys.map((key) => [key, ANN]));
  return { ...call, inputResponses, requestState: result["requestState"] };
}

async function isRefused(rig: GatewayRig, params: Json, headers: Headers = {}): Promise<void> {
  const { error, result } = await ask(rig.url, "tools/call", params, { headers });
  assert.equal(error?.code, INVALID_PARAMS, JSON.stringify({ error, result }));
}

async function isAnswered(rig: GatewayRig, params: Json, headers: Headers = {}): Promise<void> {
  const { error, result = {} } = await ask(rig.url, "tools/call", params, { headers });
  assert.equal(result["resultType"], "complete", JSON.stringify(error));
  assert.match(JSON.stringify(result["content"]), /Ann/u);
}

/** When a state's time is over, as the gateway wrote it. */
function endOf({ requestState }: Json): number {
  const [text = ""] = String(requestState).split(".");
  return JSON.parse(Buffer.from(text, "base64url").toString("utf8")).untilMs;
}

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const user = (name: string): Section => ({ name, token: `\${${name.toUpperCase()}}`, roles: [] });

test("D1 M→L and M→M: another principal cannot use a state, and no one can once its time is over", async (t) => {
  const shift = path.join(await temporaryFolder(t), "shift");
  await writeFile(shift, "0");
  const env = {
    ANN: "token-of-ann",
    BEN: "token-of-ben",
    NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`,
    SOAK_CLOCK_FILE: shift,
  };
  const backend = (back: Era): Section =>
    nodeBackend(SERVERS[back], ["--stdio"], { instances: "per-client" });
  const more = {
    incoming_auth: { type: "local", users: [user("ann"), user("ben")] },
    conflict_resolution: { strategy: "prefix" },
  };
  const rig = await startGatewayRig(t, { backends: { L: backend("L"), M: backend("M") }, more }, { env });
  await rig.untilReady("L", "M");
  const [ann, ben] = [bearer(env.ANN), bearer(env.BEN)];
  for (const [index, back] of (["L", "M"] as const).entries())
    await t.test(`D1 M→${back}`, async () => {
      const ask = () => asked(rig, ann, `${back}_ask_one`);
      const first = await ask();
      await isRefused(rig, first, ben);
      await isAnswered(rig, first, ann);
      const late = await ask();
      await writeFile(shift, String((index + 1) * LATER_MS));
      await eventually(async () => endOf(await ask()) > endOf(late) + LATER_MS / 2);
      await isRefused(rig, late, ann);
      await isAnswered(rig, await ask(), ann);
    });
});

for (const [before, after] of [
  ["L", "M"],
  ["M", "L"],
] as const)
  test(`D1 a server of ${before} that crashes while its client is asked, and is one of ${after} after its restart, serves all clients without any earlier state`, async (t) => {
    const { rig, become } = await startChangeable(t, before);
    const clients: MatrixClient[] = [];
    for (const kind of CLIENTS) {
      const client = await kind.connect(rig.url);
      t.after(() => client[Symbol.asyncDispose]());
      clients.push(client);
    }
    const answers = async (): Promise<void> => {
      for (const client of clients) assert.match(JSON.stringify(await client.call("ask_one")), /Ann/u);
    };
    await answers();
    for (const era of [before, after]) {
      const state = await asked(rig);
      await become(era);
      await isRefused(rig, state);
      await isAnswered(rig, await asked(rig));
      await answers();
    }
  });

/** One that speaks at each start what was said last. */
async function startChangeable(
  t: TestContext,
  first: Era,
): Promise<{ readonly rig: GatewayRig; become(era: Era): Promise<void> }> {
  const file = path.join(await temporaryFolder(t), "program");
  await writeFile(file, SERVERS[first]);
  const script = 'exec "$0" "$(cat "$1")" --stdio';
  const server = { command: "/bin/sh", args: ["-c", script, process.execPath, file] };
  const rig = await startGatewayRig(t, { backends: { server } });
  await rig.untilReady("server");
  return {
    rig,
    async become(era) {
      const { pid: before } = await rig.backend("server");
      await writeFile(file, SERVERS[era]);
      await ask(rig.url, "tools/call", { name: "crash", arguments: {} });
      await rig.untilBackend("server", ({ phase, pid }) => phase === "Ready" && pid !== before);
      await eventually(async () => (await ask(rig.url, "tools/call", { name: "seen" })).result);
    },
  };
}
