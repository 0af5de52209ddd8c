// Rules by server and by user, for what is not about a listed name: tasks, extensions, calls that move, and views.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig, PolicyConfig } from "../../../src/config/snapshot.ts";
import type { Principal } from "../../../src/gateway/client-handle.ts";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { pluck } from "../../support/pluck.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { source } from "../catalog/sources.ts";
import { startToolServer } from "../client-sign-in/tool-server.ts";
import { realGateway, serverOn } from "../serving/gateway-rig.ts";
import { ask, policy, recordingServices, servingSet, user } from "./requests.ts";

const only = (...policies: readonly PolicyConfig[]): AuthorizationConfig => ({
  defaultEffect: "deny",
  policies,
});
const ONLY_A = only(policy("allow", { backends: ["a"] }));
const A = source("a", { tools: ["x"] });
const B = source("b", { tools: ["y"] });

test("E4 a rule by server decides about tasks of a tool, whatever the rules were when it began", async () => {
  const task: JsonObject = { ttl: 1_000 };
  const begun = recordingServices((backend) => ({ result: { task: { taskId: `of-${backend}` } } }));
  const all = servingSet([A, B], begun);
  for (const name of ["x", "y"]) await ask(all, "tools/call", { name, task });
  const now = servingSet([A, B], begun, { authorization: ONLY_A });
  for (const method of ["tasks/get", "tasks/result", "tasks/cancel"]) {
    assert.ok(!isError(await ask(now, method, { taskId: "of-a" })), method);
    const refused = await ask(now, method, { taskId: "of-b" });
    assert.ok(isError(refused) && refused.error.message === "Unknown task: of-b", method);
  }
});

test("E4 tasks/list and methods that no one here knows reach only servers that a rule opens", async () => {
  const reached = async (
    sources: Parameters<typeof servingSet>[0],
    method: string,
  ): Promise<readonly string[]> => {
    const services = recordingServices(() => ({ result: { tasks: [] } }), pluck([...sources], "backend"));
    await ask(servingSet(sources, services, { authorization: ONLY_A }), method, {});
    return pluck([...services.calls], "backend");
  };
  assert.deepEqual(await reached([A, B], "tasks/list"), ["a"]);
  assert.deepEqual(await reached([A], "x/extension"), ["a"]);
  assert.deepEqual(await reached([B], "x/extension"), []);
});

test("E4 a call that waited for its server is not sent to another one that a rule keeps closed", async () => {
  const sentTo = async (next: string): Promise<readonly string[]> => {
    const reached: string[] = [];
    const later = servingSet([source(next, { tools: ["x"] })], recordingServices(), {
      authorization: ONLY_A,
    });
    const services = {
      ...recordingServices((backend, { renew }) => {
        const answer = renew?.(false).answer ?? null;
        if (answer !== null) return answer;
        reached.push(backend);
        return { result: {} };
      }),
      catalog: () => later.catalog,
    };
    const begun = servingSet([A], services, { authorization: ONLY_A, current: () => later });
    await ask(begun, "tools/call", { name: "x" });
    return reached;
  };
  assert.deepEqual(await sentTo("a"), ["a"]);
  assert.deepEqual(await sentTo("b"), []);
});

test("E4 a rule for a user is of the file's user of that name only, and one user's lists are never another's", () => {
  const authorization = only(
    policy("allow", { users: ["ann"], resources: ["tool:x"] }),
    policy("allow", { users: ["sub:ann"], resources: ["tool:y"] }),
  );
  const served = servingSet([A, B], recordingServices(), { authorization });
  const issuers = (subject: string): Principal => ({
    kind: "user",
    id: subject,
    name: "ann",
    subject,
    roles: [],
  });
  const seen = (principal: Principal): readonly string[] => [
    ...served.viewFor(principal).callable("2025-11-25").keys(),
  ];
  assert.deepEqual([user("ann"), user("ben"), user("sub:ann"), issuers("ann"), issuers("7")].map(seen), [
    ["x"],
    [],
    [],
    ["y"],
    [],
  ]);
});

test("E4 a server that a user may not use introduces itself to that user in nothing, and a user who may use none reads why", async (t) => {
  const [port, files, crm] = await Promise.all([
    freePort(),
    startToolServer(t, ["read_file"], "Files of the team."),
    startToolServer(t, ["read_deal"], "Deals of the team."),
  ]);
  const gateway = realGateway(t, {
    environment: { ANN: "token-of-ann", BEN: "token-of-ben", CAT: "token-of-cat" },
  });
  await gateway.start({
    ...NO_GATEWAY,
    server: serverOn(port),
    incomingAuth: {
      type: "local",
      users: [
        { name: "ann", token: { kind: "environment", variable: "ANN" }, roles: [] },
        { name: "ben", token: { kind: "environment", variable: "BEN" }, roles: [] },
        { name: "cat", token: { kind: "environment", variable: "CAT" }, roles: [] },
      ],
    },
    authorization: only(
      policy("deny", { users: ["cat"] }),
      policy("allow", { users: ["ann"] }),
      policy("allow", { backends: ["files"] }),
    ),
    backends: [
      backendConfig("files", { connection: files.connection }),
      backendConfig("crm", { connection: crm.connection }),
    ],
  });
  await eventually(() => gateway.entries().tools.length === 2);
  const introducedTo = async (token: string) => {
    await using session = await connectLight(`http://127.0.0.1:${port}/mcp`, { token });
    return JSON.stringify([session.initialized["instructions"], await session.tools()]);
  };
  assert.match(
    await introducedTo("token-of-ann"),
    /Files of the team.*Deals of the team.*read_file.*read_deal/s,
  );
  const ben = await introducedTo("token-of-ben");
  assert.ok(ben.includes("Files of the team") && !/crm|deal|allows this user/i.test(ben), ben);
  assert.match(await introducedTo("token-of-cat"), /^\["No server here allows this user anything.*",\[\]\]$/);
});
