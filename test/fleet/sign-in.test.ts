// What a machine signs in with, where the disk gives no answer.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { userSeed } from "../../src/fleet/keys/nkey.ts";
import { readSignIn } from "../../src/fleet/nats/sign-in.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("G1 an authority that cannot be read within 3 s is not used, and this is reported", async (t) => {
  const tlsCa = join(await temporaryFolder(t), "ca.pem");
  // Nobody writes: whoever opens it waits.
  execFileSync("mkfifo", [tlsCa]);
  const clock = createManualClock();
  const config = { tlsCa, credentials: { kind: "environment", variable: "SEED" } } as const;
  const values = { SEED: userSeed(Buffer.alloc(32, 1)) };
  const reading = readSignIn({ config, values, clock, redact: () => {} }, AbortSignal.any([]));
  const rejected = assert.rejects(reading, {
    message: "[fleet].tls_ca cannot be read: the disk does not answer",
  });
  try {
    await eventually(() => clock.pendingTimers > 0);
    await clock.advance(3_000);
    await rejected;
  } finally {
    await (await open(tlsCa, constants.O_RDWR)).close();
  }
});
