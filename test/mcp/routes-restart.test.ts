// Backends with routes, as the real daemon has them: kill -9 beside them, and clients with servers of their own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

/** Over each route the tool `env` says which it is. */
function routes(program: string, more: Section = {}): Section {
  const route = (name: string, file: string): Section => ({
    name,
    ...nodeBackend(file, [], { env: { ROUTE: name } }),
  });
  return { routes: [route("here", program), route("there", LIGHT_SERVER)], ...more };
}

async function connect(rig: GatewayRig): Promise<LightClient> {
  const client = await connectLight(rig.url);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  return client;
}

const routeOf = async (client: LightClient): Promise<unknown> =>
  JSON.parse(await client.call("env", { name: "ROUTE" }));

test("C2 B11 after kill -9 a backend is on the route on which a person held it, and its session goes on", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: routes(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const client = await connect(rig);
  assert.equal(await routeOf(client), "here");
  const held = await rig.home.cli(["switch", "--backend", "light", "--to", "there"]);
  assert.equal(held.code, 0, held.stderr);
  assert.equal(await routeOf(client), "there");
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  assert.equal(await routeOf(client), "there");
  const { routes: seen } = await rig.untilBackend("light", ({ phase }) => phase === "Ready");
  assert.equal(seen?.held, "there");
  const released = await rig.home.cli(["switch", "--backend", "light", "--to", "auto"]);
  assert.equal(released.code, 0, released.stderr);
});
