// Seals, and reads what was sealed, with the keyring of the session that it runs in: `seal.ts HOME write|read`.
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { openSealedFile } from "../../../src/secrets/sealed-file.ts";

const [home = "", step = ""] = process.argv.slice(2);
const file = openSealedFile({ home, name: "approvals", clock: systemClock, environment: process.env });
const limits = { deadlineMs: 20_000 };
if (step === "write") await file.write({ n: 1 }, limits, { note: "commands" });
process.stdout.write(`${step} ${JSON.stringify(await file.read(limits))} ${file.keyStorage}\n`);
