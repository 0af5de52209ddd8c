// The gateway in front of a real MCP server that wants a login: conditions, calls through a renewal, and scopes.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { isError, type Reply } from "../../../src/gateway/json-rpc.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { BACKEND, openTestStore, startSignInRig } from "../backends/server-sign-in/sign-in-rig.ts";
import { realGateway } from "./gateway-rig.ts";

async function scene(t: TestContext) {
  const rig = await startSignInRig(t);
  const log = createRecordingLogger();
  const announced: unknown[] = [];
  const { home, server } = rig;
  const gateway = realGateway(t, {
    logger: log,
    announce: (transition) => void announced.push(transition),
    listens: false,
    signIn: { home, openStore: openTestStore(home) },
  });
  const connection = { type: "streamable-http", headers: {} } as const;
  await gateway.start({
    ...NO_GATEWAY,
    backends: [backendConfig(BACKEND, { connection: { ...connection, url: server.url } })],
  });
  const view = () => gateway.view().backends.find(({ name }) => name === BACKEND);
  return {
    rig,
    gateway,
    log,
    announced,
    call: () =>
      gateway.request(
        "tools/call",
        { name: "echo", arguments: { said: "hello" } },
        AbortSignal.timeout(20_000),
      ),
    phase: () => view()?.phase,
    condition: () => view()?.conditions[0],
  };
}

function assertAnswered(reply: Reply): void {
  assert.ok(!isError(reply), JSON.stringify(reply));
  assert.match(JSON.stringify(reply), /hello/);
}

test("E1 a server that wants a login fails with the command to run, requests nothing automatically, and serves after it", async (t) => {
  const { rig, gateway, phase, condition, call } = await scene(t);
  await eventually(() => phase() === "Failed");
  assert.equal(condition()?.code, "login_needed");
  assert.match(condition()?.hint ?? "", /^mountaineer backends login tickets/);
  // Nothing is registered, and no metadata is fetched, before a person asks for it.
  assert.deepEqual([...rig.authorization.counts], []);
  await rig.signIn();
  gateway.pool.restart(BACKEND);
  await eventually(() => phase() === "Ready");
  assertAnswered(await call());
  assert.equal(condition(), undefined);
});

test("E1 a login is found silently at the next try", async (t) => {
  const { rig, phase, call } = await scene(t);
  await eventually(() => phase() === "Failed");
  await rig.signIn();
  await eventually(() => phase() === "Ready");
  assertAnswered(await call());
});

test("E1 fifty calls that meet an expired token: one renewal, each call done once, and no token in log or events", async (t) => {
  const { rig, phase, call, log, announced } = await scene(t);
  const grant = await rig.signIn();
  await eventually(() => phase() === "Ready");
  rig.authorization.endAccessTokens();
  const replies = await Promise.all(Array.from({ length: 50 }, call));
  for (const reply of replies) assertAnswered(reply);
  assert.deepEqual([rig.server.calls, rig.authorization.count("/token refresh_token")], [50, 1]);
  assert.equal(phase(), "Ready");
  const renewed = await rig.grants.read(BACKEND, AbortSignal.timeout(20_000));
  const told = JSON.stringify([log.lines, announced]);
  for (const secret of [grant.accessToken, grant.refreshToken, renewed?.accessToken, renewed?.refreshToken])
    assert.ok(secret && !told.includes(secret));
});

test("E1 a call that wants more scopes names them, and the backend keeps running; after a login with them it works", async (t) => {
  const { rig, gateway, phase, condition, call } = await scene(t);
  await rig.signIn();
  await eventually(() => phase() === "Ready");
  rig.server.requireForCalls("mcp:write");
  const refused = await call();
  assert.ok(isError(refused));
  assert.match(refused.error.message, /scopes mcp:write/);
  await eventually(() => phase() === "Degraded");
  assert.equal(condition()?.code, "scopes_needed");
  assert.equal(condition()?.hint, "mountaineer backends login tickets");
  await rig.signIn();
  // The next call finds the new login by itself.
  assertAnswered(await call());
  gateway.pool.restart(BACKEND);
  await eventually(() => phase() === "Ready");
});

test("E1 a login that the server ended stops only this backend, with one condition", async (t) => {
  const { rig, phase, condition, call } = await scene(t);
  const grant = await rig.signIn();
  await eventually(() => phase() === "Ready");
  await fetch(`${rig.authorization.issuer}/token/revocation`, {
    method: "POST",
    body: new URLSearchParams({ token: grant.refreshToken ?? "", client_id: grant.client.id }),
  }).then((response) => response.text());
  rig.authorization.endAccessTokens();
  const reply = await call();
  assert.ok(isError(reply));
  assert.match(reply.error.message, /no token for .*invalid_grant/);
  await eventually(() => phase() === "Failed");
  assert.equal(condition()?.code, "login_needed");
  const asked = rig.authorization.count("/token");
  // It is tried again with what is kept, and the authorization server hears nothing of it.
  for (let time = 0; time < 5; time++) assert.ok(isError(await call()));
  assert.equal(rig.authorization.count("/token"), asked);
});
