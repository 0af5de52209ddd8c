import assert from "node:assert/strict";
import { test } from "node:test";
import { forgetMembership, readMembership } from "../../../src/fleet/way-in/membership.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("G1 a home that is in no fleet has nothing to forget, and says nothing of it", async (t) => {
  const home = await temporaryFolder(t);
  await forgetMembership({ home, clock, environment: {}, signal: new AbortController().signal });
  assert.equal(await readMembership(home), null);
});
