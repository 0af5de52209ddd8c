// Saves the configuration again and again, until it is killed: argv is the file and the mode ("edit" or "history").
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { saveEdit } from "../../../src/config/edit/save.ts";
import { openHistory } from "../../../src/config/history/history.ts";
import { PLACE } from "../support.ts";

const [, , path = "", mode] = process.argv;
const history = openHistory(dirname(path), path);
for (let round = 1; ; round += 1) {
  if (mode === "edit") {
    const value = (round % 3000) + 1;
    const keyPath = ["global", "check_interval_secs"];
    await saveEdit({ path, place: PLACE, seenSha256: null, edits: [{ kind: "set", keyPath, value }] });
  } else {
    const bytes = Buffer.from(`# ${round}\n${"x".repeat(round % 5000)}`);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const rest = { source: "file", summary: "", time: new Date().toISOString(), format: "toml" } as const;
    await history.record({ bytes, sha256, ...rest });
  }
  if (round === 1) process.stdout.write("going\n");
}
