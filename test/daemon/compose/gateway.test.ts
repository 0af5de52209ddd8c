import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig, wantsGateway } from "../../../src/daemon/compose/gateway-config.ts";
import { loopGuard, requireNoOwnBackend } from "../../../src/daemon/compose/loop-guard.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { configOf } from "../samples.ts";

test("C3 a gateway is wanted with a backend or `[server]`, and with neither not, whatever else is there", async () => {
  const wants = async (text: string): Promise<boolean> => wantsGateway(await configOf(text));
  assert.equal(await wants(""), false);
  assert.equal(await wants('[conflict_resolution]\nstrategy = "prefix"\n[audit]\n'), false);
  assert.equal(await wants("[server]\n"), true);
  assert.equal(await wants('[backends.a]\ncommand = "server"\nenabled = false\n'), true);
});

test("B6 the gateway's part of a configuration is all of its sections, and nothing of the shares'", async () => {
  const config = await configOf('[server]\nport = 9100\n[backends.a]\ncommand = "server"\n[audit]\n');
  const { server, backends, audit, authorization, ...rest } = gatewayConfig(config);
  assert.deepEqual([server?.port, backends.length, authorization], [9100, 1, null]);
  assert.equal(audit?.keep, 5);
  assert.deepEqual(Object.keys(rest).toSorted(), [
    "conflictResolution",
    "failback",
    "groups",
    "incomingAuth",
    "limits",
    "optimizer",
    "profiles",
    "telemetry",
    "trust",
  ]);
});

const isOwn = (error: unknown): boolean => error instanceof MountaineerError && error.code === "gateway_off";

test("a gateway below its own is refused, however far; one of another configuration is not", () => {
  requireNoOwnBackend("/a", {});
  const first = loopGuard("/a", { HOME: "/h" });
  assert.throws(() => requireNoOwnBackend("/a", first), isOwn);
  requireNoOwnBackend("/b", first);
  const second = loopGuard("/b", first);
  for (const path of ["/a", "/b"]) assert.throws(() => requireNoOwnBackend(path, second), isOwn);
  requireNoOwnBackend("/c", second);
});

test("what somebody else has put there is no lineage", () => {
  for (const text of ["", "1", "[1]", "nonsense"]) requireNoOwnBackend("/a", { MOUNTAINEER_WITHIN: text });
});
