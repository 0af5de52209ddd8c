// A real smbd on loopback for probes: a temporary configuration and a free port, both gone after the test.
import { spawn } from "node:child_process";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { eventually } from "../support/eventually.ts";
import { freePort, takesConnections } from "../support/free-port.ts";
import { LOOPBACK_NAME } from "../support/where.ts";

/** macOS has an smbd of its own, which takes none of these settings; Homebrew gives Samba's another name. */
const SMBD =
  process.platform === "darwin"
    ? `${process.arch === "arm64" ? "/opt/homebrew" : "/usr/local"}/sbin/samba-dot-org-smbd`
    : "/usr/sbin/smbd";

/** null where smbd is there, else what is missing. */
export async function smbdUnavailable(): Promise<string | null> {
  return access(SMBD).then(
    () => null,
    () => `${SMBD} is not installed`,
  );
}

/** Starts smbd on 127.0.0.1 with the given lines added to `[global]`; resolves with its port once it takes connections. */
export async function startSmbServer(t: TestContext, globalLines: readonly string[] = []): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-smbd-"));
  const port = await freePort();
  for (const name of ["private", "lock", "state", "cache", "pid", "rpc"]) {
    await mkdir(join(folder, name), { mode: 0o755 });
  }
  const configuration = join(folder, "smb.conf");
  await writeFile(
    configuration,
    [
      "[global]",
      `smb ports = ${port}`,
      `interfaces = ${LOOPBACK_NAME}`,
      "bind interfaces only = yes",
      `private dir = ${folder}/private`,
      `lock directory = ${folder}/lock`,
      `state directory = ${folder}/state`,
      `cache directory = ${folder}/cache`,
      `pid directory = ${folder}/pid`,
      `ncalrpc dir = ${folder}/rpc`,
      `log file = ${folder}/log`,
      "server role = standalone server",
      "disable spoolss = yes",
      "load printers = no",
      ...globalLines,
      "",
    ].join("\n"),
  );
  // In a process group of its own: an smbd that ends sends SIGTERM to the whole group it is in.
  const server = spawn(SMBD, ["-F", "--no-process-group", "-s", configuration], {
    stdio: "ignore",
    detached: true,
  });
  const exited = new Promise((resolve) => server.once("exit", resolve));
  t.after(async () => {
    endGroup(server.pid);
    await exited;
    // Its children may still be writing for a moment.
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  });
  await eventually(() => takesConnections(port), 60_000);
  return port;
}

function endGroup(pid: number | undefined): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}
