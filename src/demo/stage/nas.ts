// The demo's server: a folder, two cables to it, and the configuration of a share on it. It is smbd on loopback behind
// two relays, or, where SMB is not available, a plain folder behind two symlinks.
import { mkdir, rename, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { RouteName } from "../../api/contract/contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { startPlainRig } from "./plain-rig.ts";
import type { SimulatedCable } from "./simulated-cable.ts";
import { missingForSmb } from "./smb-available.ts";
import { PASSWORD_VARIABLE, SHARE, serverTemporaryFolder } from "./stage-layout.ts";

export type DemoDriver = "smb" | "local";

interface Cable {
  /** The host or path of this route in the configuration. */
  readonly address: string;
  readonly plugged: boolean;
  pull(): Promise<void>;
  plug(): Promise<void>;
}

export interface Nas extends AsyncDisposable {
  readonly driver: DemoDriver;
  /** The share's folder on the server's own disk: never behind a mount. */
  readonly serverFolder: string;
  readonly cables: Readonly<Record<RouteName, Cable>>;
  /** The share's lines in config.toml, without its name. */
  readonly shareConfig: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Starts the server in `folder`. `driver` null: real SMB if available, else folders. `insteadBecause`: why
 * real SMB was not available; null if it is used, or if folders were asked for. Rejects with
 * `driver_unavailable` when `smb` is asked for and not available.
 */
export async function openNas(
  folder: string,
  driver: DemoDriver | null,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly nas: Nas; readonly insteadBecause: string | null }> {
  if (driver === "local") return { nas: await startLocalNas(folder), insteadBecause: null };
  let missing = await missingForSmb(folder, environment, signal);
  if (missing === null) {
    try {
      return { nas: await startSmbNas(folder), insteadBecause: null };
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      missing = error.message;
    }
  }
  if (driver === "smb") {
    throw new MountaineerError("driver_unavailable", `real SMB is not available here: ${missing}`, {
      hint: "mountaineer demo --driver local plays with plain folders",
    });
  }
  return { nas: await startLocalNas(folder), insteadBecause: missing };
}

async function startSmbNas(folder: string): Promise<Nas> {
  const environment = { TMPDIR: serverTemporaryFolder(folder) };
  const rig = await startPlainRig({ shares: [SHARE], parent: folder, environment });
  const cables = { tb: smbCable(rig.relays.tb), fallback: smbCable(rig.relays.fallback) };
  return {
    driver: "smb",
    serverFolder: rig.exportPath(SHARE),
    cables,
    shareConfig: [
      `thunderbolt_host = "${cables.tb.address}"`,
      `fallback_host = "${cables.fallback.address}"`,
      `username = ${JSON.stringify(rig.username)}`,
      `password = "\${${PASSWORD_VARIABLE}}"`,
      `driver = "rclone"`,
    ],
    environment: { [PASSWORD_VARIABLE]: rig.password },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

function smbCable(relay: SimulatedCable): Cable {
  return {
    address: `${relay.host}:${relay.port}`,
    get plugged() {
      return relay.mode === "pass";
    },
    pull: () => relay.setMode("refuse"),
    plug: () => relay.setMode("pass"),
  };
}

/** One folder in `parent`, and a symlink to it for each route. Pulling a cable renames its symlink. */
export async function startLocalNas(parent: string): Promise<Nas> {
  const serverFolder = join(parent, "server");
  const folder = join(parent, "cables");
  await mkdir(serverFolder);
  await mkdir(folder);
  const cables = {
    tb: await localCable(join(folder, "thunderbolt"), serverFolder),
    fallback: await localCable(join(folder, "fallback"), serverFolder),
  };
  return {
    driver: "local",
    serverFolder,
    cables,
    shareConfig: [
      `thunderbolt_path = ${JSON.stringify(cables.tb.address)}`,
      `fallback_path = ${JSON.stringify(cables.fallback.address)}`,
      `driver = "local"`,
    ],
    environment: {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function localCable(path: string, serverFolder: string): Promise<Cable> {
  const pulled = join(dirname(path), `.${basename(path)}-pulled`);
  await symlink(serverFolder, path);
  let plugged = true;
  return {
    address: path,
    get plugged() {
      return plugged;
    },
    async pull() {
      if (plugged) await rename(path, pulled);
      plugged = false;
    },
    async plug() {
      if (!plugged) await rename(pulled, path);
      plugged = true;
    },
  };
}
