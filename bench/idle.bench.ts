// Measures what the daemon costs while nothing happens: processor time and memory of each process.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingForPlainRig, startPlainRig } from "../src/demo/stage/plain-rig.ts";
import { createTestHome } from "../test/support/daemon.ts";
import { goal, round, say } from "./figures.ts";
import { childrenOf, commandLine, cpuMs, pssMb, rssMb } from "./processes.ts";

/** In its first minutes V8 still compiles what runs at each beat: a tenth of the cost then, and no rest. */
const SETTLE_MS = { short: 5_000, whole: 240_000 } as const;

export const title = "idle: one share mounted, default interval";
export const missing = missingForPlainRig;

export async function bench({ short }: { short: boolean }): Promise<void> {
  // The kernel counts in ticks of 10 ms: of what is measured in 60 s they are a twentieth.
  const seconds = short ? 8 : 60;
  await using rig = await startPlainRig({ shares: ["CORE"] });
  await writeFile(join(rig.exportPath("CORE"), "file.txt"), "there\n");
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  try {
    const home = await createTestHome({
      home: join(folder, "home"),
      env: { BENCH_PASSWORD: rig.password },
      config: `
[global]
shares_root = "${join(folder, "Shares")}"
[[shares]]
name = "CORE"
thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"
fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"
username = "${rig.username}"
password = "\${BENCH_PASSWORD}"
`,
    });
    await using monitor = await home.startMonitor();
    await home.untilShare("CORE", ({ mount_alive }) => mount_alive, 30_000);
    await pause(short ? SETTLE_MS.short : SETTLE_MS.whole);
    const processes = [monitor.pid, ...(await childrenOf(monitor.pid))];
    const ours: number[] = [];
    const names: string[] = [];
    for (const pid of processes) {
      const command = await commandLine(pid);
      if (command.includes("mountaineer-fs")) continue;
      ours.push(pid);
      names.push(pid === monitor.pid ? "daemon" : "prober");
    }
    const before = await Promise.all(ours.map(cpuMs));
    await pause(seconds * 1000);
    const after = await Promise.all(ours.map(cpuMs));
    const memory = await Promise.all(ours.map(rssMb));
    const proportional = await Promise.all(ours.map(pssMb));
    const shares = after.map((ms, index) => ((ms - (before[index] ?? 0)) / (seconds * 1000)) * 100);
    for (const [index] of ours.entries()) {
      say(
        `  ${names[index] ?? ""}: ${(shares[index] ?? 0).toFixed(2)} % of a core, ${round(memory[index] ?? 0)} MB resident, ${round(proportional[index] ?? 0)} MB PSS`,
      );
    }
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    goal("idle ≤ 0.3 % of a core, all our processes", sum(shares) <= 0.3);
    goal("daemon ≤ 80 MB resident", (memory[0] ?? 0) <= 80);
    goal("all our processes ≤ 140 MB resident", sum(memory) <= 140);
    const pss = sum(proportional);
    goal(`all our processes without mountaineer-fs ≤ 180 MB PSS (${round(pss)} MB)`, pss <= 180);
    await home.cli(["unmount"]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
