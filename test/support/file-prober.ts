// One prober for all tests of a file: each start is a process, and a prober keeps nothing of what it looked at.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { Prober } from "../../src/shares/prober/prober.ts";
import { startProber } from "../../src/shares/prober/prober-process.ts";

/** As long as a busy machine may take to start a process. */
const STARTS_MS = 60_000;

/** Answers before the file's first test, and ended after its last. */
export function fileProber(options: Parameters<typeof startProber>[0]): () => Prober {
  let prober: Prober | null = null;
  before(async () => {
    prober = startProber(options);
    await prober.readLink("/", STARTS_MS);
  });
  after(async () => {
    await prober?.[Symbol.asyncDispose]();
  });
  return () => {
    assert.ok(prober !== null, "asked for by a test");
    return prober;
  };
}
