// The system's route to an address, with a script in place of the system's command.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findRoute, parseRouteGet, type RouteLookup } from "../../../src/network/routes/route-lookup.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const skip = process.platform === "darwin" ? "macOS's command has a fixed path" : false;

/** What is found where `ip` is this script; null: there is no such program. */
async function found(t: TestContext, script: string | null, signal = t.signal): Promise<RouteLookup> {
  const folder = await temporaryFolder(t);
  if (script !== null) await writeFile(join(folder, "ip"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const { PATH } = process.env;
  process.env["PATH"] = folder;
  try {
    return await findRoute("10.0.0.2%tb0", systemClock, signal);
  } finally {
    process.env["PATH"] = PATH;
  }
}

test("the interface and the gateway are found, without the zone of the address", { skip }, async (t) => {
  const script = `[ "$4" = 10.0.0.2 ] && echo '[{"dev":"tb0","gateway":"10.0.0.1"}]'`;
  assert.deepEqual(await found(t, script), { kind: "found", interfaceName: "tb0", gateway: "10.0.0.1" });
});

test("no route, a failure, and a missing program are distinguished; a stop rejects", {
  skip,
}, async (t) => {
  assert.deepEqual(await found(t, "echo 'RTNETLINK answers: Network is unreachable' >&2; exit 2"), {
    kind: "none",
  });
  assert.deepEqual(await found(t, "echo oops >&2; exit 2"), { kind: "unknown", why: "oops" });
  assert.deepEqual(await found(t, "exit 3"), { kind: "unknown", why: "ip ended with 3" });
  assert.equal((await found(t, null)).kind, "unknown");
  await assert.rejects(found(t, "exit 0", AbortSignal.abort()), { code: "aborted" });
});

test("macOS: a default route through a tunnel has the tunnel as its gateway", () => {
  const route = "   destination: default\n       gateway: utun4\n     interface: utun4\n";
  assert.deepEqual(parseRouteGet(route), { kind: "found", interfaceName: "utun4", gateway: "utun4" });
});
