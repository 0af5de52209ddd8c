// The official suite's `auth/*` scenarios for clients, with the gateway's side towards its backends as the client.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { approve, plainClient, startDoor } from "../gateway/authorization-server/rig.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import type { ConformanceClient } from "./conformance-player.ts";
import { startSigningClient } from "./conformance-signing.ts";
import { NEWER_SUITE, runClientScenario } from "./run-conformance.ts";

let client: ConformanceClient;
before(async () => {
  client = await startSigningClient();
});
after(() => client[Symbol.asyncDispose]());

/** By the revision whose messages are spoken; null: the one revision that the scenario is about. */
const SCENARIOS: readonly (readonly [revision: string | null, names: readonly string[]])[] = [
  [
    "2025-11-25",
    [
      "metadata-default",
      "metadata-var1",
      "metadata-var2",
      "metadata-var3",
      "basic-cimd",
      "scope-from-www-authenticate",
      "scope-from-scopes-supported",
      "scope-omitted-when-undefined",
      "scope-step-up",
      "scope-retry-limit",
      "token-endpoint-auth-basic",
      "token-endpoint-auth-post",
      "token-endpoint-auth-none",
      "pre-registration",
      "resource-mismatch",
      "offline-access-scope",
      "offline-access-not-supported",
      "authorization-server-migration",
      "iss-supported",
      "iss-not-advertised",
      "iss-supported-missing",
      "iss-wrong-issuer",
      "iss-unexpected",
      "iss-normalized",
      "metadata-issuer-mismatch",
    ],
  ],
  [
    null,
    [
      "2025-03-26-oauth-metadata-backcompat",
      "2025-03-26-oauth-endpoint-fallback",
      "client-credentials-jwt",
      "client-credentials-basic",
    ],
  ],
];

for (const [revision, names] of SCENARIOS) {
  for (const name of names) {
    test(`E1 the suite's scenario auth/${name} passes whole`, async (t) => {
      const checks = await runClientScenario(t, client.command, `auth/${name}`, revision);
      const wrong = checks.filter(({ status }) => status === "FAILURE" || status === "WARNING");
      assert.deepEqual(wrong, []);
      assert.ok(checks.some(({ status }) => status === "SUCCESS"));
      t.diagnostic(`${checks.filter(({ status }) => status === "SUCCESS").length} passed`);
    });
  }
}

test("E1 the suite's scenarios for authorization servers pass at the gateway's own", async (t) => {
  const [door, port] = await Promise.all([startDoor(t), freePort()]);
  const browser = plainClient(door);
  const metadata = { client_name: "Suite", redirect_uris: [`http://127.0.0.1:${port}/callback`] };
  const { client_id: id = "" } = (await browser.register(metadata)).body;
  const suite = [
    "authorization",
    "--url",
    door.base,
    "--client-id",
    id,
    "--resource",
    door.url,
    "-p",
    String(port),
  ];
  const child = spawn(process.execPath, [NEWER_SUITE, ...suite], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(child, "close");
  const address = await eventually(() => /http:\S+\/authorize\?\S+/.exec(said)?.[0]);
  const page = await browser.authorize(Object.fromEntries(new URL(address).searchParams));
  assert.ok(await approve(door.gateway, page.code));
  await fetch(String((await browser.answer(page, null)).headers["location"]));
  await ended;
  assert.match(said, /Total: 2 passed, 0 failed/);
});
