// Many calls and many sessions at once, as people reported them of other gateways and proxies.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../mcp/light-client.ts";

/** `[limits].sessions`, and a sixth more. */
const SESSIONS = { most: 60, come: 70 };

describe("D9 many at once", () => {
  let rig: GatewayRig;
  let client: LightClient;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mt-crowds-"));
    const more = { limits: { sessions: SESSIONS.most } };
    rig = await openGatewayRig({ backends: { light: nodeBackend(LIGHT_SERVER) }, more });
    await rig.untilReady("light");
    client = await connectLight(rig.url);
  });
  after(async () => {
    await client[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  // ferro-labs/ai-gateway 354, caomengxuan666/cxxmcp 51
  it("D9 slow calls hold up neither each other, nor other calls, nor a session that begins", async () => {
    const until = join(folder, "go-on");
    const slow = Array.from({ length: 8 }, (_, at) => client.call("sleep", { until, text: String(at) }));
    assert.equal(await client.call("echo", { text: "at once" }), "at once");
    await using other = await connectLight(rig.url);
    assert.ok((await other.tools()).includes("echo"));
    assert.equal(await other.call("echo", { text: "here, too" }), "here, too");
    await writeFile(until, "");
    assert.deepEqual(await Promise.all(slow), ["0", "1", "2", "3", "4", "5", "6", "7"]);
  });

  // voicetreelab/lazy-mcp 8
  it("D9 calls at once to one server over stdio each get their own answer", async () => {
    const texts = Array.from({ length: 100 }, (_, at) => `call ${at}`);
    assert.deepEqual(await Promise.all(texts.map((text) => client.call("echo", { text }))), texts);
  });

  // ConcordDev/concord-cognitive-engine 374: after Node's 5 s, a proxy's next request meets a closed connection.
  it("D9 an idle connection stays open for longer than proxies keep theirs", async () => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const answer = await fetch(rig.url, { method: "POST", headers, body: "{}" });
    await answer.text();
    const seconds = Number(/timeout=(\d+)/u.exec(answer.headers.get("keep-alive") ?? "")?.[1]);
    assert.ok(seconds > 60, `${seconds} s`);
  });

  // punkpeye/mcp-proxy 79, mark3labs/mcp-go 723, UsefulSoftwareCo/executor 1684: clients that leave without DELETE.
  it("D9 E4 a client continues its session after it was evicted, and clients that come at once to a full table all get in", async () => {
    const begin = (count: number): Promise<LightClient[]> =>
      Promise.all(Array.from({ length: count }, () => connectLight(rig.url)));
    const abandoned: LightClient[] = [];
    while (abandoned.length < SESSIONS.come) abandoned.push(...(await begin(10)));
    assert.ok((await abandoned[0]?.tools())?.includes("echo"));
    const newest = await begin(20);
    for (const each of newest) assert.ok((await each.tools()).includes("echo"));
    for (const each of newest) await each[Symbol.asyncDispose]();
  });
});
