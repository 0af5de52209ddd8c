// The demo's server: a folder, two cables to it, and the configuration of a share on it. It is smbd on loopback behind
// two TCP proxies, or, where SMB is not available, a plain folder behind two symlinks.
import { mkdir, rename, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { RouteName } from "../../api/contract/contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type PlainRig, startPlainRig } from "./plain-rig.ts";
import type { SimulatedCable } from "./simulated-cable.ts";
import { missingForSmb, refusedMount } from "./smb-available.ts";
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
  const { nas, missing } = await trySmbNas(folder, environment, signal);
  if (nas !== null) return { nas, insteadBecause: null };
  if (driver === "smb") {
    throw new MountaineerError("driver_unavailable", `real SMB is not available here: ${missing}`, {
      hint: "mountaineer demo --driver local plays with plain folders",
    });
  }
  return { nas: await startLocalNas(folder), insteadBecause: missing };
}

/** `missing`: why there is none. */
async function trySmbNas(
  folder: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly nas: Nas; readonly missing: null } | { readonly nas: null; readonly missing: string }> {
  const missing = await missingForSmb(folder);
  if (missing !== null) return { nas: null, missing };
  const serverEnvironment = { TMPDIR: serverTemporaryFolder(folder) };
  try {
    const rig = await startPlainRig({ shares: [SHARE], parent: folder, environment: serverEnvironment });
    const refused = await refusedMount(rig, folder, environment, signal);
    if (refused === null) return { nas: smbNas(rig), missing: null };
    await rig[Symbol.asyncDispose]();
    return { nas: null, missing: refused };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return { nas: null, missing: error.message };
  }
}

function smbNas(rig: PlainRig): Nas {
  const cables = { tb: smbCable(rig.cables.tb), fallback: smbCable(rig.cables.fallback) };
  return {
    driver: "smb",
    serverFolder: rig.exportPath(SHARE),
    cables,
    shareConfig: [
      `thunderbolt_host = "${cables.tb.address}"`,
      `fallback_host = "${cables.fallback.address}"`,
      `username = ${JSON.stringify(rig.username)}`,
      `password = "\${${PASSWORD_VARIABLE}}"`,
    ],
    environment: { [PASSWORD_VARIABLE]: rig.password },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

function smbCable(cable: SimulatedCable): Cable {
  return {
    address: `${cable.host}:${cable.port}`,
    get plugged() {
      return cable.mode === "pass";
    },
    pull: () => cable.setMode("refuse"),
    plug: () => cable.setMode("pass"),
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
