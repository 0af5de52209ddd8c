// How much memory process groups have; picks the platform's implementation.
import { processMemoryDarwin } from "./group-memory-darwin.ts";
import { processMemoryLinux } from "./group-memory-linux.ts";

const KIBIBYTE = 1024;

/** In bytes, without what programs share with others; on macOS with it. Null: it cannot be read. */
export async function groupMemory(groups: readonly number[]): Promise<number | null> {
  if (groups.length === 0) return 0;
  const wanted = new Set(groups);
  const read = process.platform === "darwin" ? processMemoryDarwin : processMemoryLinux;
  const all = await read().catch(() => null);
  if (all === null) return null;
  return all.reduce((sum, [group, kibibytes]) => (wanted.has(group) ? sum + kibibytes * KIBIBYTE : sum), 0);
}
