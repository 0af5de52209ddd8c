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
import { ask, type WireReply } from "../modern-wire.ts";
import { CLIENTS, type Era, type MatrixClient } from "./matrix-clients.ts";

const SHIFTED_CLOCK = fileURLToPath(new URL("../../lab/programs/shifted-clock.ts", import.meta.url));
const SERVERS: Readonly<Record<Era, string>> = { L: MATRIX_SERVER, M: MATRIX_MODERN_SERVER };
const CALL = { name: "ask_one", arguments: {} };
const ANN = { action: "accept", content: { name: "Ann" } };
const INVALID_PARAMS = -32602;
const LATER_MS = 2 * 3_600_000;

type Headers = Readonly<Record<string, string>>;

/** The call's question, and the request that answers it. */
async function asked(rig: GatewayRig, headers: Headers = {}): Promise<Json> {
  const reply = await ask(rig.url, "tools/call", CALL, { headers });
  const { result = {} } = reply;
  assert.equal(result["resultType"], "input_required", JSON.stringify(reply));
  const keys = Object.keys(result["inputRequests"] as Json);
  const inputResponses = Object.fromEntries(keys.map((key) => [key, ANN]));
  return { ...CALL, inputResponses, requestState: result["requestState"] };
}

function retry(rig: GatewayRig, params: Json, headers: Headers = {}): Promise<WireReply> {
  return ask(rig.url, "tools/call", params, { headers });
}

async function isRefused(rig: GatewayRig, params: Json, headers: Headers = {}): Promise<void> {
  const { error, result } = await retry(rig, params, headers);
  assert.equal(error?.code, INVALID_PARAMS, JSON.stringify({ error, result }));
}

async function isAnswered(rig: GatewayRig, params: Json, headers: Headers = {}): Promise<void> {
  const { error, result = {} } = await retry(rig, params, headers);
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

for (const back of ["L", "M"] as const) {
  test(`D1 M→${back}: another principal cannot bring a state, and neither can anybody once its time is over`, async (t) => {
    const shift = path.join(await temporaryFolder(t), "shift");
    await writeFile(shift, "0");
    const env = {
      ANN: "token-of-ann",
      BEN: "token-of-ben",
      NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`,
      SOAK_CLOCK_FILE: shift,
    };
    const users = { incoming_auth: { type: "local", users: [user("ann"), user("ben")] } };
    const backends = { server: nodeBackend(SERVERS[back], ["--stdio"], { instances: "per-client" }) };
    const rig = await startGatewayRig(t, { backends, more: users }, { env });
    await rig.untilReady("server");
    const [ann, ben] = [bearer(env.ANN), bearer(env.BEN)];
    const first = await asked(rig, ann);
    await isRefused(rig, first, ben);
    await isAnswered(rig, first, ann);
    const late = await asked(rig, ann);
    await writeFile(shift, String(LATER_MS));
    await eventually(async () => endOf(await asked(rig, ann)) > endOf(late) + LATER_MS / 2);
    await isRefused(rig, late, ann);
    await isAnswered(rig, await asked(rig, ann), ann);
  });

  test(`D1 M→${back}: a server that crashes while its client is asked: the call is to be made again`, async (t) => {
    const rig = await startGatewayRig(t, { backends: { server: nodeBackend(SERVERS[back], ["--stdio"]) } });
    await rig.untilReady("server");
    const { pid: before } = await rig.backend("server");
    const state = await asked(rig);
    await ask(rig.url, "tools/call", { name: "crash", arguments: {} });
    await rig.untilBackend("server", ({ phase, pid }) => phase === "Ready" && pid !== before);
    await isRefused(rig, state);
    await isAnswered(rig, await asked(rig));
  });
}

for (const [before, after] of [
  ["L", "M"],
  ["M", "L"],
] as const)
  test(`D1 a server of ${before} that is one of ${after} when it is started again serves both, and no state of before`, async (t) => {
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
    const state = await asked(rig);
    await become(after);
    await isRefused(rig, state);
    await answers();
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
