// One prober for all tests of a file: each start is a process, and a prober keeps nothing of what it looked at.
import { after } from "node:test";
import type { Prober } from "../../src/shares/prober/prober.ts";
import { startProber } from "../../src/shares/prober/prober-process.ts";

/** Started by the first test that asks for it, ended after the file's last test. */
export function fileProber(options: Parameters<typeof startProber>[0]): () => Prober {
  let prober: Prober | null = null;
  after(async () => {
    await prober?.[Symbol.asyncDispose]();
  });
  return () => {
    prober ??= startProber(options);
    return prober;
  };
}
