// What the proof calls of macOS: its libraries and the folder of its mounts. A dry run on another system names doubles.

import { NETFS_LIBRARIES, type NetfsLibraries } from "../../src/shares/drivers/netfs/binding.ts";
import { loadGetfsstat } from "../../src/shares/mounts/getfsstat-darwin.ts";
import { loadLibproc } from "../../src/shares/prober/open-files-darwin.ts";

interface Doubles {
  readonly netfs: NetfsLibraries;
  readonly getfsstat: string;
  readonly libproc: string;
  /** For the process that calls NetFS. */
  readonly env: Readonly<Record<string, string>>;
}

const { MAC_PROOF_DOUBLES } = process.env;
const doubles: Doubles | null = MAC_PROOF_DOUBLES === undefined ? null : JSON.parse(MAC_PROOF_DOUBLES);

export const netfsLibraries: NetfsLibraries = doubles?.netfs ?? NETFS_LIBRARIES;
export const netfsEnvironment: Readonly<Record<string, string>> = doubles?.env ?? {};
export const readMountTable = (): ReturnType<typeof loadGetfsstat> =>
  loadGetfsstat(doubles?.getfsstat ?? null);
export const openLibproc = (): ReturnType<typeof loadLibproc> => loadLibproc(doubles?.libproc);
