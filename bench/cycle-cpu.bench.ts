// Measures the daemon's processor time per cycle over 1, 100 and 1,000 shares on 20 hosts (driver `local`).
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestHome } from "../test/support/daemon.ts";
import { goal, round, say } from "./figures.ts";
import { childrenOf, cpuMs, rssMb } from "./processes.ts";

const HOSTS = 20;
const INTERVAL_SECS = 1;

export const title = "cycle: the daemon's processor time per cycle";
export const missing = (): string | null => (process.platform === "linux" ? null : "reads /proc");

export async function bench({ short }: { short: boolean }): Promise<void> {
  const cycles = short ? 5 : 20;
  const responder = fork(new URL("./negotiate-responder.ts", import.meta.url), [String(HOSTS)], {
    stdio: "inherit",
  });
  const [ports] = (await once(responder, "message")) as [number[]];
  try {
    for (const count of short ? [1, 1000] : [1, 100, 1000]) {
      const { perCycleMs, proberMs, memoryMb } = await measure(count, ports, cycles);
      say(
        `  ${String(count).padStart(5)} shares: ${round(perCycleMs)} ms a cycle; prober ${round(proberMs)} ms; ${round(memoryMb)} MB`,
      );
      if (count === 1000) goal("1,000 shares ≤ 30 ms of daemon CPU a cycle", perCycleMs <= 30);
    }
  } finally {
    responder.kill();
  }
}

async function measure(
  count: number,
  ports: readonly number[],
  cycles: number,
): Promise<{ perCycleMs: number; proberMs: number; memoryMb: number }> {
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  try {
    const host = (index: number): string => `127.0.1.${(index % HOSTS) + 1}:${ports[index % HOSTS]}`;
    for (const route of ["tb", "fallback"]) {
      for (let index = 0; index < count; index++)
        await mkdir(join(folder, route, `S${index}`), { recursive: true });
    }
    const shares = Array.from(
      { length: count },
      (_, index) => `
[[shares]]
name = "S${index}"
thunderbolt_host = "${host(index)}"
fallback_host = "${host(index + 1)}"
driver = "local"
thunderbolt_path = "${join(folder, "tb", `S${index}`)}"
fallback_path = "${join(folder, "fallback", `S${index}`)}"
`,
    );
    const config = `[global]\nshares_root = "${join(folder, "Shares")}"\ncheck_interval_secs = ${INTERVAL_SECS}\n${shares.join("")}`;
    const home = await createTestHome({ home: join(folder, "home"), config });
    await using monitor = await home.startMonitor();
    await home.untilShare(`S${count - 1}`, ({ mount_alive }) => mount_alive, 60_000);
    // Compilation and first mounts are behind it by then.
    await pause(count >= 100 ? 8000 : 3000);
    const [prober = monitor.pid] = await childrenOf(monitor.pid);
    // One that was replaced meanwhile has no figure.
    const proberCpu = () => cpuMs(prober).catch(() => Number.NaN);
    const before = [await cpuMs(monitor.pid), await proberCpu()] as const;
    await pause(cycles * INTERVAL_SECS * 1000);
    const after = [await cpuMs(monitor.pid), await proberCpu()] as const;
    return {
      perCycleMs: (after[0] - before[0]) / cycles,
      proberMs: (after[1] - before[1]) / cycles,
      memoryMb: await rssMb(monitor.pid),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
