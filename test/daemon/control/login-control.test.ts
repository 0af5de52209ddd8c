// Signing in to a backend's server from the page, before a real server behind a real authorization server.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { openBackendSignIn } from "../../../src/daemon/backend-sign-in.ts";
import { createLoginControl } from "../../../src/daemon/control/login-control.ts";
import { agree } from "../../gateway/backends/server-sign-in/authorization-server.ts";
import { startSignInRig } from "../../gateway/backends/server-sign-in/sign-in-rig.ts";

const signal = AbortSignal.any([]);
const backend = "tickets";

test("F4 a person signs in at the address that the page shows, and the backend restarts", async (t) => {
  const { home, authorization, server, grants } = await startSignInRig(t);
  await writeFile(join(home, "config.toml"), `[backends.tickets]\nurl = "${server.url}"\n`, { mode: 0o600 });
  const restarted: unknown[] = [];
  const restart = async (input: unknown) => {
    restarted.push(input);
    return { restarted: [backend] };
  };
  using logins = createLoginControl({ signIn: openBackendSignIn({ home, configPath: null }), restart });
  const { beginLogin, awaitLogin } = logins.control;
  await assert.rejects(awaitLogin({ backend }, signal), { code: "sign_in_failed", message: /was begun/ });
  await assert.rejects(beginLogin({ backend: "other" }, signal, OWNER_RIGHTS), { code: "backend_unknown" });

  const { address: first } = await beginLogin({ backend }, signal, OWNER_RIGHTS);
  assert.ok(first.startsWith(authorization.issuer));
  const replaced = assert.rejects(awaitLogin({ backend }, signal), { message: "another sign-in was begun" });
  const { address } = await beginLogin({ backend }, signal, OWNER_RIGHTS);
  await replaced;
  assert.deepEqual(restarted, []);
  await agree(address, authorization.issuer);
  const { issuer, renews_itself } = await awaitLogin({ backend }, signal);
  assert.deepEqual([issuer, renews_itself], [authorization.issuer, true]);
  assert.deepEqual(restarted, [{ backends: [backend] }]);
  assert.equal((await grants.read(backend, signal))?.issuer, authorization.issuer);

  await beginLogin({ backend }, signal, OWNER_RIGHTS);
  const ended = assert.rejects(awaitLogin({ backend }, signal), { message: "the daemon ends" });
  logins[Symbol.dispose]();
  await ended;
});
