// `mountaineer status --follow` as a process, over a management server whose answers the test decides.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { startCommand } from "../command-line.ts";

test("F2 status --follow prints each change once, in a line, beyond the daemon's end, and redraws nothing", async (t) => {
  let report: StatusReport = sampleReport();
  const config = scriptedConfig();
  const control = { ...scriptedControl(), status: () => report };
  const { home, server } = await startRig(t, { control, config });
  const { child } = startCommand(["status", "--follow"], { home });
  t.after(() => child.kill());
  let out = "";
  child.stdout?.on("data", (text: string) => {
    out += text;
  });
  const ended = once(child, "exit");
  const says = (text: string) => eventually(() => out.includes(text));
  await says("share CORE: mounted over Thunderbolt\n");
  report = sampleReport([sampleShare({ active_interface: "fallback", tb_recovery_pending: true })]);
  for (let round = 0; round < 50; round += 1)
    config.emit({ kind: "transition", transition: { name: "share.failover", share: "CORE" } });
  const changed =
    "share CORE: mounted over Fallback, TB Ready; mountaineer switch --share CORE --to tb switches it to Thunderbolt\n";
  await says(changed);
  await server[Symbol.asyncDispose]();
  await says("not connected since");
  await startRig(t, { home, control, config });
  await says("connected\n");
  child.kill("SIGINT");
  await ended;
  assert.equal(out.split(changed).length, 2, "said once");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  assert.doesNotMatch(out, /[\u001b\r]|[─│┌●○▸]/);
});
