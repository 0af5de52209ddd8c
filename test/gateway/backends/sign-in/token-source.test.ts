import assert from "node:assert/strict";
import { test } from "node:test";
import type { GrantStore } from "../../../../src/gateway/backends/sign-in/grant-store.ts";
import { createGrantSource } from "../../../../src/gateway/backends/sign-in/token-source.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { BACKEND, startSignInRig } from "./sign-in-rig.ts";

test("E1 a renewed token that cannot be kept is used all the same, and kept as soon as there is room", async (t) => {
  const rig = await startSignInRig(t);
  const { accessToken: old } = await rig.signIn();
  const { signal } = new AbortController();
  let isFull = true;
  const grants: GrantStore = {
    ...rig.grants,
    async write(backend, grant, until) {
      if (isFull && grant.renewingSinceMs === null)
        throw new MountaineerError("secret_unavailable", "no space left on the disk");
      await rig.grants.write(backend, grant, until);
    },
  };
  const logger = createRecordingLogger();
  const url = new URL(rig.server.url);
  const source = createGrantSource({ backend: BACKEND, url, auth: null, clock: systemClock, logger, grants });
  const kept = async () => (await rig.grants.read(BACKEND, signal))?.accessToken;
  const renewed = await source.token(old, null, signal);
  assert.equal(renewed.kind, "token");
  assert.equal(await kept(), old);
  assert.deepEqual(await source.token(old, null, signal), renewed);
  assert.equal(await kept(), old);
  isFull = false;
  assert.deepEqual(await source.token(old, null, signal), renewed);
  assert.notEqual(await kept(), old);
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
  // A person who signs in anew meanwhile comes first.
  const { accessToken: newer } = await rig.signIn();
  const after = await source.token(null, null, signal);
  assert.equal(after.kind === "token" && after.token.value, newer);
});
