// Who does not come in over HTTP, and what the gateway is told of it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { callMessage, startRig } from "./http-rig.ts";

const user = (name: string) => ({ ok: true, principal: { kind: "user", name, roles: [] } }) as const;

describe("the HTTP front's admission", () => {
  it("tells of a foreign Host and a foreign Origin, wherever they lead", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    await rig.send("GET", "/manage/v1/health", { host: "evil.example" });
    await rig.post(callMessage(1, "x"), { origin: "https://evil.example" });
    const told = gateway.turnedAwayRequests.map(({ status, remote, principal }) => [
      status,
      remote,
      principal,
    ]);
    assert.deepEqual(told, [
      [403, "127.0.0.1", null],
      [403, "127.0.0.1", null],
    ]);
    assert.doesNotMatch(JSON.stringify(gateway.turnedAwayRequests), /evil/);
  });

  it("tells of a token that is missing or wrong, and not which it was", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
    const headers = { authorization: "Bearer guessed" };
    assert.equal((await rig.post(callMessage(1, "x"), headers)).headers["www-authenticate"], "Bearer");
    assert.deepEqual(gateway.turnedAwayRequests, [
      { status: 401, reason: "a token is needed", principal: null, remote: "127.0.0.1" },
    ]);
  });

  it("tells of a session that is not there, and of one that is another's, which the sender does not learn", async () => {
    const gateway = createScriptedGateway();
    gateway.authenticate = () => user("ann");
    await using rig = await startRig(gateway);
    const id = await rig.initialize();
    gateway.authenticate = () => user("bob");
    const unknown = await rig.post(callMessage(1, "x"), { "mcp-session-id": "guessed" });
    const other = await rig.post(callMessage(1, "x"), { "mcp-session-id": id });
    assert.deepEqual([unknown.status, other.status], [404, 404]);
    assert.equal(other.body, unknown.body);
    assert.deepEqual(
      gateway.turnedAwayRequests.map(({ principal }) => principal),
      ["bob", "bob"],
    );
    const [first, second] = gateway.turnedAwayRequests;
    assert.match(String(first?.reason), /not known/);
    assert.match(String(second?.reason), /another principal/);
    assert.doesNotMatch(JSON.stringify(gateway.turnedAwayRequests), new RegExp(`guessed|${id}`));
  });

  it("says on which machine a session began that is not known here, as far as its id says so", async () => {
    await using rig = await startRig(createScriptedGateway());
    const answerTo = async (id: string): Promise<string> =>
      (await rig.post(callMessage(1, "x"), { "mcp-session-id": id })).body;
    assert.match(await answerTo(`laptop.${"a".repeat(32)}`), /began on laptop, is not known here/);
    for (const id of ["laptop.a", `${"x".repeat(33)}.${"a".repeat(32)}`, `lap<top.${"a".repeat(32)}`])
      assert.match(await answerTo(id), /the session is not known/, id);
  });

  it("tells of nothing that comes in, even if it is refused for what it says", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    await rig.post(callMessage(1, "x"), headers);
    await rig.post("{", headers);
    await rig.post(callMessage(1, "x"));
    await rig.send("GET", "/nothing", {});
    assert.deepEqual(gateway.turnedAwayRequests, []);
  });
});
