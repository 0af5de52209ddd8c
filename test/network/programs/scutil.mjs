// A program in place of scutil: it wants the commands that scutil would get, and prints in its format.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [mode = "obey", pidFile] = process.argv.slice(2);
if (pidFile !== undefined) writeFileSync(pidFile, String(process.pid));
const say = (text) => process.stdout.write(text);
const notify = (...keys) => {
  say("notification callback (store address = 0x600003a1c0a0).\n");
  // The first as older systems print it, the others with the time of newer ones.
  for (const [index, key] of keys.entries())
    say(`  ${index === 0 ? "" : "11:05:09.123 (+0.001) "}changedKey [${index}] = ${key}\n`);
};

if (mode === "stubborn") process.on("SIGTERM", () => {});
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (line !== "n.watch") return;
    if (mode === "crash") process.exit(3);
    notify("State:/Network/Interface/bridge0/Link", "State:/Network/Global/IPv4");
    // A line that comes in two pieces, and one that never ends.
    say("  changedKey [0] = State:/Network/Interface/en0");
    setTimeout(() => say(`/IPv4\n${"x".repeat(10_000)}`), 20);
  })
  .on("close", () => {
    if (mode !== "stubborn") process.exit(0);
  });
setInterval(() => {}, 1_000);
