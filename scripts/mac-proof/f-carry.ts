// (f) May a mount be carried here? The self-test with a share of the proof's NAS, over two cables: the first real verdict.
// Usage: f-carry.ts [DRIVER]; a dry run on another system names one that mounts there.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SHARE, startNas } from "./nas.ts";
import { prove } from "./report.ts";
import { selfTest } from "./self-test.ts";

const [driver = "netfs"] = process.argv.slice(2);

await prove("f-carry", async (report) => {
  await using rig = await startNas();
  const home = await mkdtemp(join(tmpdir(), "mac-proof-"));
  const config = [
    "[[shares]]",
    'name = "PROOF"',
    `share_name = "${SHARE}"`,
    `thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"`,
    `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
    `username = ${JSON.stringify(rig.username)}`,
    'password = "${MAC_PROOF_PASSWORD}"',
    `driver = "${driver}"`,
  ];
  await writeFile(join(home, "config.toml"), `${config.join("\n")}\n`);
  const { results } = await selfTest(report, { MOUNTAINEER_HOME: home, MAC_PROOF_PASSWORD: rig.password });
  const verdict = results.find(({ adapter }) => adapter === `carried mount (${driver})`);
  report.check(
    verdict?.passed === true,
    "a mount is carried to another route under an open file",
    verdict?.detail ?? "no such adapter",
    "shares are remounted on each route change until this holds; what broke is in the text, smbd's log below",
  );
  report.note((await rig.log()).slice(-2_000));
});
