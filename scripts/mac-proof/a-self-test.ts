// (a) Each adapter to macOS, once, without changing anything.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./command.ts";
import { prove } from "./report.ts";
import { selfTest } from "./self-test.ts";

await prove("a-self-test", async (report) => {
  for (const [program, ...args] of [
    ["sw_vers"],
    ["uname", "-m"],
    ["sysctl", "-n", "machdep.cpu.brand_string"],
  ])
    if (program !== undefined) report.note((await run(program, args)).output.replaceAll("\n", ", "));
  const home = await mkdtemp(join(tmpdir(), "mac-proof-"));
  await selfTest(report, { MOUNTAINEER_HOME: home });
});
