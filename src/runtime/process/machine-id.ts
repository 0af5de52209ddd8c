// An id of this machine for Mountaineer only: a keyed hash, as machine-id(5) asks for.
import { createHmac } from "node:crypto";
import { readIfPresent } from "../files/durable-file.ts";
import { runCommand } from "./child-process.ts";

const DEADLINE_MS = 2_000;

/** null if the system does not say. A host name is not used, because networks and containers change it. */
export async function machineId(): Promise<string | null> {
  const raw = await readMachineId().catch(() => "");
  return /^[0-9a-f-]{32,36}$/iu.test(raw)
    ? createHmac("sha256", raw).update("mountaineer").digest("hex")
    : null;
}

/** Only Linux has the file, and only macOS has ioreg. */
async function readMachineId(): Promise<string> {
  const content = await readIfPresent("/etc/machine-id");
  if (content !== null) return content.trim();
  const options = { deadlineMs: DEADLINE_MS };
  const { stdout } = await runCommand("ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"], options);
  return /"IOPlatformUUID" = "([^"]+)"/u.exec(stdout)?.[1] ?? "";
}
